#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| pieceful_fuzz::saved::run(data));
