//! Does what it should: the others are this rule with one thing wrong.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {}

guest::component!(Rule);
