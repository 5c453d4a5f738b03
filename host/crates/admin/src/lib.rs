//! F5: HTTP: looks and asks, never touches data.
