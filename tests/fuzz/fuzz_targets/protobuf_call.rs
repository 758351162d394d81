//! See `meseta_tests::fuzz::protobuf_call`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| meseta_tests::fuzz::protobuf_call(data));
