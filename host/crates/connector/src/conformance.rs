//! What every source, sink and store has to show.
