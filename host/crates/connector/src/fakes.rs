//! The trivial members of each family, for tests of everything else.
