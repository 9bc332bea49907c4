//! Frames that one process fills and another one sums.

use std::process::{Command, Stdio};

use crate::{Ends, next, send};

const FRAME: usize = 1920 * 1080 * 3;
const DEPTH: usize = 4;

unsafe extern "C" {
    fn frames_fill(frame: *mut u8, size: usize, value: u32);
    fn frames_sum(frame: *const u8, size: usize) -> u64;
    fn frames_now_ns() -> f64;
}

pub fn now_ns() -> f64 {
    // SAFETY: it only reads a clock.
    unsafe { frames_now_ns() }
}

pub fn produce(count: u32) {
    let name = format!("bench.{}", std::process::id());
    let ends = Ends::new();
    let to = ends.publish(&name, FRAME, DEPTH);
    let ready = ends.subscribe(&format!("{name}.ready"), DEPTH);
    let mut child = Command::new(std::env::current_exe().expect("self"))
        .args(["consume", &name, &count.to_string()])
        .stdout(Stdio::inherit())
        .spawn()
        .expect("consumer");
    drop(next(&ready));
    for i in 0..count {
        send(&to, FRAME, |bytes| {
            // SAFETY: the slice has FRAME bytes, and is aligned to 64.
            unsafe { frames_fill(bytes.as_mut_ptr().cast(), FRAME, i) }
        });
    }
    child.wait().expect("wait");
}

pub fn consume(name: &str, count: u32) {
    let ends = Ends::new();
    let from = ends.subscribe(name, DEPTH);
    let to = ends.publish(&format!("{name}.ready"), 8, DEPTH);
    send(&to, 8, |bytes| {
        bytes[0].write(0);
    });
    let mut start = 0.0;
    for i in 0..count {
        let sample = next(&from);
        // SAFETY: the sample has FRAME bytes.
        let sum = unsafe { frames_sum(sample.payload().as_ptr(), FRAME) };
        assert_eq!(sum, u64::from(i) * (FRAME as u64 / 4));
        if i == count / 4 {
            start = now_ns();
        }
    }
    let counted = f64::from(count - 1 - count / 4);
    println!("{{\"gbps\": {:.4}}}", counted * FRAME as f64 / (now_ns() - start));
}
