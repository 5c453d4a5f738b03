//! Opens until `until_us`, and from `again_us` on; in between it refuses its configuration, or
//! never comes back.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn open(config: &str) -> Result<(), String> {
        let now = guest::clock::now_us();
        let (until, again) =
            (guest::setting(config, "until_us"), guest::setting(config, "again_us"));
        match now < until || now >= again {
            true => Ok(()),
            false if config.contains("\"spin\"") => guest::spin(),
            false => Err("not at this time".into()),
        }
    }
}

guest::component!(Rule);
