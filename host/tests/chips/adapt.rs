//! Networks that learn where they run: what they learn, and the same bits on host and chips.
//!
//! The tests on chips need a compiler for Cortex-M and QEMU: scripts/embedded-toolchain gets both.

use std::cell::Cell;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use faer::Mat;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use tinyfold::adapt::{Course, drift, prove, zero};
use tinyfold::format::banks::{fetch, image};
use tinyfold::format::model::{export, import, read};
use tinyfold::network::{Activation, Network, Recurrence};
use tinyfold::task::recording::{GYROSCOPE, bundled};
use tinyfold::task::synthetic;
use tinyfold::verify::Core;
use tinyfold::verify::firmware::Region;
use tinyfold::verify::qemu::{CHIPS, Qemu};
use tinyfold::verify::suite::random_monitor;
use tinyfold_core::Shape;
use tinyfold_core::learn::{Groups, KINDS, Kind, Limits, Loss, Plan};
use tinyfold_core::wire::ALIGNMENT;

/// Bytes of the banks of the emulated boards.
const FLASH: usize = 128 * 1024;

fn chip(name: &str) -> Qemu {
    let chip = CHIPS.into_iter().find(|chip| chip.name == name).expect("a chip of this name");
    Qemu::new(chip).expect("toolchain and QEMU are there")
}

fn learners() -> Vec<Qemu> {
    ["qemu-m3", "qemu-m4f", "qemu-m7", "qemu-m33"].map(chip).into()
}

#[test]
fn the_adapting_integrator_recovers_from_drift_and_the_frozen_one_does_not() {
    let data = bundled(&GYROSCOPE).expect("reads");
    let default = drift::Settings::default();
    // With a target for every sample, and with one for every fifth.
    for (every, most) in [(1, 1500), (5, 4000)] {
        for channels in 1..=3 {
            let decays = default.decays[..channels].to_vec();
            let settings = drift::Settings { decays, every, store: 0, ..default.clone() };
            let drift = settings.prepare(&data).expect("prepares");
            let taught = drift.course.on_host(&mut []).expect("learns");
            let findings = drift.findings(&taught, &drift.run_frozen(&Core).expect("runs"));
            let drift::Findings { adapting, frozen, updates, .. } = findings;
            println!(
                "D = {channels}, a target every {every}: adapting {:.1e} -> {:.1e} after {:?} samples, frozen {:.1e} -> {:.1e}",
                adapting.before, adapting.after, adapting.recovered, frozen.before, frozen.after
            );
            assert!(adapting.recovered.is_some_and(|samples| samples <= most));
            assert!(adapting.after <= drift::WITHIN * adapting.before);
            assert!(frozen.recovered.is_none() && frozen.before < 1e-4);
            let percent = (100.0 * frozen.after).round();
            assert!((33.0..=44.0).contains(&percent), "{percent} %");
            assert_eq!(updates as usize, settings.samples / every);
        }
    }
}

#[test]
fn an_integrator_learned_from_zero_generalises() {
    for (channels, most) in [(1, 5e-5), (2, 8.5e-3)] {
        for seed in 0..3 {
            let settings = zero::Settings { seed, ..zero::Settings::of_channels(channels) };
            let course = settings.course().expect("a course");
            let taught = course.on_host(&mut []).expect("learns");
            let error = zero::generalises(&settings, &course, &taught, &Core).expect("runs");
            println!("D = {channels}, seed {seed}: relative RMSE {error:.1e} over {} steps", zero::FREE);
            assert!(error <= most);
            let nothing = Course { rows: Vec::new(), ..course };
            let taught = nothing.on_host(&mut []).expect("runs");
            let error = zero::generalises(&settings, &nothing, &taught, &Core).expect("runs");
            assert!(error > 0.9, "what knows nothing puts out nothing");
        }
    }
}

#[test]
fn from_zero_and_drift_are_bit_equal_on_the_m4f() {
    let qemu = chip("qemu-m4f");
    for channels in [1, 2] {
        let settings = zero::Settings::of_channels(channels);
        let course = settings.course().expect("a course");
        let taught = course.on_chip(&qemu, &mut Vec::new()).expect("learns");
        assert!(taught.same_bits(&course.on_host(&mut []).expect("learns")));
        assert_eq!(taught.record.held.len(), zero::FREE);
        let error = zero::generalises(&settings, &course, &taught, &qemu).expect("runs");
        assert!(error <= 2e-2, "D = {channels}: {error}");
    }
    let drift = drift::Settings::default().prepare(&bundled(&GYROSCOPE).expect("reads")).expect("prepares");
    let taught = prove(&drift.course, Some(&qemu)).expect("the same bits").taught;
    assert_eq!(taught.records, [0, 16]);
    let frozen = drift.run_frozen(&qemu).expect("runs");
    assert_eq!(frozen, drift.run_frozen(&Core).expect("runs"));
    assert!(drift.findings(&taught, &frozen).adapting.recovered.is_some());
    assert!(qemu.worst_stack() > 0 && qemu.worst_stack() < 16 * 1024);
}

/// A drift with 16 stores; shorter on the M3, which computes in software.
fn drift_with_16_stores(qemu: &Qemu) -> Course {
    let samples = if qemu.chip.name == "qemu-m3" { 4000 } else { 16_000 };
    let settings = drift::Settings { samples, store: samples as u32 / 16, ..drift::Settings::default() };
    settings.prepare(&bundled(&GYROSCOPE).expect("reads")).expect("prepares").course
}

#[test]
fn what_was_learned_survives_a_reset() {
    for qemu in learners() {
        let mut first = drift_with_16_stores(&qemu);
        // State and influences are forgotten after 10 of 16 stores, as a reset forgets them.
        first.plan.episode = 10 * first.store;
        let uninterrupted = Course { store: 0, ..first.clone() }.on_host(&mut []).expect("learns");
        let mut second = first.clone();
        second.rows = first.rows.split_off(first.rows.len() / 8 * 5);
        let (mut host_flash, mut chip_flash) = (vec![0; FLASH], Vec::new());
        let host = [&first, &second].map(|course| course.on_host(&mut host_flash).expect("learns"));
        let chip = [&first, &second].map(|course| course.on_chip(&qemu, &mut chip_flash).expect("learns"));
        assert!(chip[0].same_bits(&host[0]) && chip[1].same_bits(&host[1]), "{}", qemu.chip.name);
        assert_eq!(chip_flash, host_flash, "{}", qemu.chip.name);
        assert_eq!(chip.each_ref().map(|taught| taught.records), [[0, 10], [10, 16]]);
        assert_eq!(chip[1].packed, uninterrupted.packed, "as if there had been no reset");
        let fetched = fetch(&chip_flash, "banks").expect("a record");
        assert_eq!((fetched.sequence, fetched.steps), (16, Some(16 * u64::from(first.store))));
        let fresh = Course { store: 0, ..second.clone() }.on_host(&mut []).expect("learns");
        assert_ne!(chip[1].packed, fresh.packed);
        // Weights alone are not all that was learned.
        let network = first.network(&chip[0]).expect("a network");
        let weights = Course { model: export::<f32>(&network).expect("exports"), store: 0, ..second.clone() };
        assert_ne!(chip[1].packed, weights.on_host(&mut []).expect("learns").packed);
    }
}

/// Lessons by SGD and by recursive least squares, interrupted where an episode ends: weights and P come back.
#[test]
fn an_interrupted_lesson_goes_on_as_if_it_had_not_been() {
    let settings = drift::Settings { samples: 2000, ..drift::Settings::default() };
    let course = settings.prepare(&bundled(&GYROSCOPE).expect("reads")).expect("prepares").course;
    let mut dense =
        import(&read::<f32>(&course.model, "model").expect("a model"), "model").expect("a network");
    dense.recurrence = Recurrence::Dense(dense.weights());
    let dense = export::<f32>(&dense).expect("exports");
    let readout = Groups { readout: true, output_bias: true, ..Groups::NONE };
    let qemu = chip("qemu-m4f");
    for (kind, model, groups, rate) in [
        (Kind::Latent, &course.model, Groups::RECURRENT, 0.01),
        (Kind::Lms, &dense, readout, 0.01),
        (Kind::Rls, &dense, readout, 1.0),
    ] {
        let plan = Plan {
            rate,
            normalised: kind != Kind::Rls,
            forget: 0.99,
            episode: 500,
            ..Plan::new(kind, groups)
        };
        let first = Course { model: model.clone(), plan, store: 300, ..course.clone() };
        let uninterrupted = first.on_host(&mut vec![0; FLASH]).expect("learns");
        let [mut first, mut second] = [first.clone(), first];
        second.rows = first.rows.split_off(first.rows.len() / 4);
        let (mut host_flash, mut chip_flash) = (vec![0; FLASH], Vec::new());
        for (course, records) in [(&first, [0, 2]), (&second, [2, 7])] {
            let host = course.on_host(&mut host_flash).expect("learns");
            assert_eq!(host.records, records);
            assert!(course.on_chip(&qemu, &mut chip_flash).expect("learns").same_bits(&host), "{kind:?}");
            assert_eq!(chip_flash, host_flash, "{kind:?}");
            if course.rows.len() == second.rows.len() {
                assert_eq!(host.packed, uninterrupted.packed, "{kind:?}");
            }
        }
        assert_eq!(fetch(&chip_flash, "banks").expect("a record").steps, Some(2000));
    }
}

/// Presses the reset button of an emulated chip, through QEMU's monitor at `socket`, once its banks hold record
/// `sequence`.
fn reset_at(socket: &Path, banks: Region, sequence: u32) {
    let began = Instant::now();
    let mut monitor = loop {
        match UnixStream::connect(socket) {
            Ok(stream) => break stream,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(60), "no monitor: {error}"),
        }
        sleep(Duration::from_millis(1));
    };
    let mut lines = BufReader::new(monitor.try_clone().expect("a socket")).lines();
    let mut ask = |command: serde_json::Value| {
        writeln!(monitor, "{command}").expect("QEMU runs");
        // Greeting and events come in between.
        lines
            .by_ref()
            .map(|line| serde_json::from_str::<serde_json::Value>(&line.expect("QEMU runs")).expect("JSON"))
            .find_map(|answer| answer.get("return").cloned())
            .expect("QEMU runs until the reset")
    };
    ask(json!({"execute": "qmp_capabilities"}));
    let mut newest = |bank: u64| {
        let command = format!("xp /3xw {:#x}", banks.address + bank * banks.capacity / 2);
        let arguments = json!({"command-line": command});
        let answer = ask(json!({"execute": "human-monitor-command", "arguments": arguments}));
        let words: Vec<u32> = answer
            .as_str()
            .expect("text")
            .split_whitespace()
            .filter_map(|word| u32::from_str_radix(word.strip_prefix("0x")?, 16).ok())
            .collect();
        // Magic, version, sequence number, which may not be written yet.
        if words[0] == u32::from_le_bytes(*b"TFBK") && words[2] != u32::MAX { words[2] } else { 0 }
    };
    while newest(0).max(newest(1)) < sequence {}
    ask(json!({"execute": "system_reset"}));
}

/// Learning resumes from the last record before the reset, whenever that was, and ends with the bits of the host
/// that did the same.
#[test]
fn a_reset_in_the_midst_of_a_lesson_loses_only_what_came_after_the_last_record() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (mut qemu, sequence) in learners().into_iter().zip([1, 4, 7, 10]) {
        let course = drift_with_16_stores(&qemu);
        let Shape { inputs, outputs, .. } = course.shape().expect("a model");
        let socket = folder.path().join(qemu.chip.name);
        qemu.options = vec!["-qmp".into(), format!("unix:{},server=on,wait=off", socket.display())];
        let banks = qemu.image.banks.expect("RAM in the place of flash");
        let (mut chip_flash, mut host_flash) = (Vec::new(), vec![0; FLASH]);
        let chip = std::thread::scope(|scope| {
            scope.spawn(|| reset_at(&socket, banks, sequence));
            course.on_chip(&qemu, &mut chip_flash).expect("learns")
        });
        let [began, last] = chip.records;
        println!("{}: reset in the midst of 16 stores, resumed from record {began}", qemu.chip.name);
        assert!((sequence..16).contains(&began) && last == began + 16, "{:?}", chip.records);
        let mut until = course.clone();
        until.rows.truncate(began as usize * course.store as usize * (inputs + outputs));
        assert_eq!(until.on_host(&mut host_flash).expect("learns").records, [0, began]);
        assert!(chip.same_bits(&course.on_host(&mut host_flash).expect("learns")), "{}", qemu.chip.name);
        assert_eq!(chip_flash, host_flash, "{}", qemu.chip.name);
        let steps = fetch(&chip_flash, "banks").expect("a record").steps;
        assert_eq!(steps, Some(u64::from((began + 16) * course.store)));
    }
}

#[test]
fn a_model_that_is_newly_flashed_wins_over_what_another_one_learned() {
    let data = bundled(&GYROSCOPE).expect("reads");
    let of = |neurons, seed| {
        let settings = drift::Settings { neurons, seed, samples: 1000, ..drift::Settings::default() };
        settings.prepare(&data).expect("prepares").course
    };
    let qemu = chip("qemu-m4f");
    // Of another size, then of the same size with other weights, then with other samples for its task.
    let mut scaled = of(48, 1);
    let mut network =
        import(&read::<f32>(&scaled.model, "model").expect("a model"), "model").expect("a network");
    network.inputs[0].gain *= 2.0;
    scaled.model = export::<f32>(&network).expect("exports");
    let (mut host_flash, mut chip_flash) = (vec![0; FLASH], Vec::new());
    for (course, records) in [
        (of(64, 0), [0, 1]),
        (of(48, 0), [0, 2]),
        (of(48, 1), [0, 3]),
        (of(48, 1), [3, 4]),
        (scaled.clone(), [0, 5]),
        (scaled, [5, 6]),
    ] {
        let host = course.on_host(&mut host_flash).expect("learns");
        assert_eq!(host.records, records);
        if records[0] == 0 {
            let fresh = Course { store: 0, ..course.clone() }.on_host(&mut []).expect("learns");
            assert_eq!(host.packed, fresh.packed);
        }
        assert!(course.on_chip(&qemu, &mut chip_flash).expect("learns").same_bits(&host));
        assert_eq!(chip_flash, host_flash);
    }
}

/// `tinyfold export --bank`: whatever the model is, learning begins with the bank.
#[test]
fn a_bank_that_was_exported_is_what_any_model_of_its_size_begins_with() {
    let data = bundled(&GYROSCOPE).expect("reads");
    let of = |seed| {
        let settings = drift::Settings { seed, samples: 1000, ..drift::Settings::default() };
        settings.prepare(&data).expect("prepares").course
    };
    let (flashed, other) = (of(0), of(1));
    let network = import(&read::<f32>(&other.model, "model").expect("a model"), "model").expect("a network");
    let mut host_flash = image(&network, FLASH).expect("banks");
    let mut chip_flash = host_flash.clone();
    let host = flashed.on_host(&mut host_flash).expect("learns");
    assert_eq!(host.records, [1, 2]);
    let begun = Course { model: other.model, store: 0, ..flashed.clone() }.on_host(&mut []).expect("learns");
    assert_eq!(host.packed, begun.packed);
    let chip = flashed.on_chip(&chip("qemu-m4f"), &mut chip_flash).expect("learns");
    assert!(chip.same_bits(&host));
    assert_eq!(chip_flash, host_flash);
}

/// A network of any kind that the rule fits, and a lesson with gaps, bad samples and bad targets.
fn any_course() -> impl Strategy<Value = Course> {
    let shape = (1..24_usize, 1..4_usize, 1..4_usize, 1..4_usize);
    let choices = (select(&KINDS[..]), 0..64_u8, 0..5_usize, any::<[bool; 3]>());
    let numbers = (select(&[0, 1, 7][..]), select(&[0, 16][..]), 0.01..0.5_f32, any::<u64>());
    (shape, choices, numbers).prop_map(|((n, rank, inputs, outputs), choices, numbers)| {
        let (kind, bits, activation, [leaky, normalised, trust]) = choices;
        let (episode, every, rate, seed) = numbers;
        let low_rank = matches!(kind, Kind::Latent | Kind::Tied | Kind::LatentRls);
        // Tied: B = U, as wide.
        let inputs = if kind == Kind::Tied { rank } else { inputs };
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut normal = |rows: usize, columns: usize| {
            Mat::from_fn(rows, columns, |_, _| random.random_range(-1.0..1.0) * 1.5 / (n as f64).sqrt())
        };
        let recurrence = if low_rank {
            Recurrence::LowRank { u: normal(n, rank), v: normal(n, rank) }
        } else {
            Recurrence::Dense(normal(n, n))
        };
        let input = match (&recurrence, kind) {
            (Recurrence::LowRank { u, .. }, Kind::Tied) => u.clone(),
            _ => normal(n, inputs),
        };
        let phi = [
            Activation::Linear,
            Activation::Relu,
            Activation::Clipped { lo: 0.0, hi: 1.0 },
            Activation::Tanh,
            Activation::Sigmoid { slope: 4.0, threshold: 0.25 },
        ];
        let mut network = Network::plain(phi[activation], recurrence, input, normal(outputs, n));
        network.bias = normal(n, 1).col(0).iter().copied().collect();
        if leaky && kind != Kind::LatentRls {
            network.alpha = 0.3;
        }
        network.initial = network.rest();

        let width = inputs + outputs;
        let mut rows: Vec<f32> = synthetic::gaussian(60, width, seed).iter().map(|&x| x as f32).collect();
        for (at, value) in rows.iter_mut().enumerate() {
            match (at % width >= inputs, random.random_range(0..24)) {
                (true, 0..8) | (false, 0) => *value = f32::NAN,
                (true, 8) => *value = f32::INFINITY,
                _ => {}
            }
        }
        let learns = |bit: u8| bits >> bit & 1 == 1;
        let readout = matches!(kind, Kind::Lms | Kind::Rls);
        let groups = Groups {
            recurrent: learns(0) && !readout,
            back: learns(1) && low_rank,
            input: learns(2) && !readout && kind != Kind::Tied,
            bias: learns(3) && !readout,
            readout: learns(4) || readout,
            output_bias: learns(5),
        };
        let limits = Limits { state: 1e3, loss: 10.0, growth: 0.0, every };
        let second_order = matches!(kind, Kind::Rls | Kind::LatentRls);
        let plan = Plan {
            rate: if second_order { 1.0 } else { rate },
            forget: 0.97,
            normalised,
            trust: if trust && !second_order { [0.1, 0.01] } else { [0.0; 2] },
            loss: if learns(5) && !second_order { Loss::CrossEntropy } else { Loss::Square },
            passes: 2,
            episode,
            limits,
            ..Plan::new(kind, groups)
        };
        let model = export::<f32>(&network).expect("exports");
        let name = format!("{kind:?}, n = {n}, R = {rank}, I = {inputs}, O = {outputs}, seed {seed}");
        Course { name, model, plan, silent: 3, store: 50, rows }
    })
}

#[test]
fn every_lesson_is_bit_equal_on_every_chip_that_learns() {
    let chips = learners();
    let config =
        Config { cases: 40, rng_seed: RngSeed::Fixed(4), failure_persistence: None, ..Config::default() };
    let done = [const { Cell::new(0) }; KINDS.len()];
    TestRunner::new(config)
        .run(&any_course(), |course| {
            let mut flash = vec![0; FLASH];
            let host = match course.on_host(&mut flash) {
                Ok(host) => host,
                Err(error) => return Err(TestCaseError::fail(format!("{}: {error}", course.name))),
            };
            for qemu in &chips {
                let mut kept = Vec::new();
                let chip = course.on_chip(qemu, &mut kept).expect("learns");
                prop_assert!(chip.same_bits(&host), "{}: {}", qemu.chip.name, course.name);
                prop_assert!(kept == flash, "{}: {}: banks differ", qemu.chip.name, course.name);
            }
            done[course.plan.kind as usize - 1].update(|count| count + 1);
            Ok(())
        })
        .expect("bit-equal");
    let done = done.map(Cell::into_inner);
    println!("lessons of every kind: {done:?}");
    assert!(done.iter().all(|&count| count > 0), "{done:?}");
}

#[test]
fn an_image_that_cannot_learn_says_so() {
    let course = zero::Settings { samples: 20, ..zero::Settings::of_channels(1) }.course().expect("a course");
    let error = course.on_chip(&chip("qemu-m0"), &mut Vec::new()).expect_err("it has no learners");
    assert!(
        error.to_string().ends_with("expected samples, found a lesson (this image cannot learn)"),
        "{error}"
    );
}

/// A network that learns is not watched, and the case behind its monitor runs as well.
#[test]
fn a_lesson_passes_over_the_monitor_of_its_network() {
    let course = zero::Settings { samples: 20, ..zero::Settings::of_channels(1) }.course().expect("a course");
    let (model, lesson) = (course.model.bytes(), course.bytes().expect("a lesson"));
    let monitor = random_monitor(&course.model, &mut ChaCha8Rng::seed_from_u64(0)).expect("a monitor");
    let joined = |parts: &[&[u8]]| {
        parts.iter().fold(Vec::new(), |mut all, part| {
            all.resize(all.len().next_multiple_of(ALIGNMENT), 0);
            all.extend(*part);
            all
        })
    };
    let qemu = chip("qemu-m4f");
    let once = qemu.run_bytes(model, &lesson).expect("learns");
    let models = joined(&[model, monitor.bytes(), model]);
    let twice = qemu.run_bytes(&models, &joined(&[&lesson, &lesson])).expect("learns");
    assert_eq!((twice.len(), &twice[..once.len()]), (2 * once.len(), &once[..]));
}

#[test]
fn lessons_that_do_not_fit_are_refused_with_a_reason() {
    let course = || zero::Settings::of_channels(1).course().expect("a course");
    let qemu = chip("qemu-m4f");
    let refused = |course: &Course, reason: &str| {
        for error in [course.on_host(&mut []).map(|_| ()), course.on_chip(&qemu, &mut Vec::new()).map(|_| ())]
        {
            let error = error.expect_err("refused").to_string();
            assert!(error.contains(reason), "{error}");
        }
    };
    let with = |change: fn(&mut Course)| {
        let mut course = course();
        change(&mut course);
        course
    };
    refused(&with(|course| course.plan.kind = Kind::Snap1), "rank");
    refused(&with(|course| course.plan.rate = -1.0), "rate");
    refused(&with(|course| course.rows.truncate(7)), "samples");
    // The host has no flash here, the chip's banks are too small for nothing.
    let error = with(|course| course.store = 1).on_host(&mut []).expect_err("no banks").to_string();
    assert!(error.contains("expected flash for two banks, found none"), "{error}");
}
