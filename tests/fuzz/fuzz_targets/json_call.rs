//! See `meseta_tests::fuzz::json_call`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| meseta_tests::fuzz::json_call(data));
