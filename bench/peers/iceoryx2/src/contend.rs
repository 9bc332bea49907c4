//! Several processes that loan and drop at the same time, each with a publisher of the same service.
//! A publisher has memory of its own, so that they contend for nothing but the cores.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::frames::now_ns;
use crate::measure::time;
use crate::{Ends, loan_and_drop};

const BATCH: u64 = 500;

/// Says that it is ready, reads when to begin, and says how many it did until the time was over.
pub fn one(name: &str) {
    let ends = Ends::new();
    let out = ends.publish(name, 4096, 2);
    loan_and_drop(&out, BATCH);
    println!("ready");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("when");
    let begin: f64 = line.trim().parse().expect("when");
    let end = begin + time().as_nanos() as f64;
    let mut done = 0;
    while now_ns() < begin {}
    while now_ns() < end {
        loan_and_drop(&out, BATCH);
        done += BATCH;
    }
    println!("{done}");
}

pub fn all() {
    let mut figures = Vec::new();
    for count in [1, 2, 4, 8] {
        let name = format!("bench.{}.{count}", std::process::id());
        let mut children: Vec<_> = (0..count)
            .map(|_| {
                Command::new(std::env::current_exe().expect("self"))
                    .args(["contender", &name])
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .spawn()
                    .expect("contender")
            })
            .collect();
        let mut outs: Vec<_> = children
            .iter_mut()
            .map(|child| BufReader::new(child.stdout.take().expect("stdout")).lines())
            .collect();
        for out in &mut outs {
            assert_eq!(out.next().expect("line").expect("line"), "ready");
        }
        let begin = now_ns() + 50e6;
        for child in &mut children {
            writeln!(child.stdin.take().expect("stdin"), "{begin}").expect("write");
        }
        let done: Vec<f64> = outs
            .iter_mut()
            .map(|out| out.next().expect("line").expect("line").parse().expect("count"))
            .collect();
        for mut child in children {
            child.wait().expect("wait");
        }
        let sum: f64 = done.iter().sum();
        let least = done.iter().copied().fold(f64::INFINITY, f64::min);
        let most = done.iter().copied().fold(1.0, f64::max);
        let millions = sum / time().as_nanos() as f64 * 1e3;
        figures.push(format!("\"ops {count}\": {millions:.4}"));
        figures.push(format!("\"share {count}\": {:.3}", 100.0 * least / most));
    }
    println!("{{{}}}", figures.join(", "));
}
