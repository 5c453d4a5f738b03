//! What is wrong with a server or a module, and what the gateway says about it.
