//! Decoded instructions and modelled cycles of known code.

use tinyfold::bench::thumb::{Instruction, Kind};
use tinyfold::bench::timing::{Counter, Model};

fn instructions(bytes: &[u8]) -> Vec<Instruction> {
    let halfword = |at: usize| bytes.get(at..at + 2).map_or(0, |pair| u16::from_le_bytes([pair[0], pair[1]]));
    let (mut at, mut all) = (0, Vec::new());
    while at < bytes.len() {
        let instruction = Instruction::decode(halfword(at), halfword(at + 2));
        at += usize::from(instruction.size);
        all.push(instruction);
    }
    all
}

/// Text, bytes, kind, registers of the address.
type Line = (&'static str, &'static [u8], Kind, [Option<u8>; 2]);

/// Bytes as llvm-mc 14 assembles the text for a Cortex-M4.
#[test]
#[rustfmt::skip]
fn the_decoder_knows_every_class() {
    let none = [None; 2];
    let table: [Line; 72] = [
        ("ldr r0, [r1, #4]", &[0x48, 0x68], Kind::Load { to: 0 }, [Some(1), None]),
        ("ldr r0, [r1, r2]", &[0x88, 0x58], Kind::Load { to: 0 }, [Some(1), Some(2)]),
        ("ldr r3, [pc, #276]", &[0x45, 0x4b], Kind::Load { to: 3 }, [Some(15), None]),
        ("ldr r8, [r1], #4", &[0x51, 0xf8, 0x04, 0x8b], Kind::Load { to: 8 }, [Some(1), None]),
        ("ldr.w r8, [r1, r2, lsl #2]", &[0x51, 0xf8, 0x22, 0x80], Kind::Load { to: 8 }, [Some(1), Some(2)]),
        ("ldr.w pc, [r1]", &[0xd1, 0xf8, 0x00, 0xf0], Kind::Load { to: 15 }, [Some(1), None]),
        ("ldrsh r0, [r1, r2]", &[0x88, 0x5e], Kind::Load { to: 0 }, [Some(1), Some(2)]),
        ("str r0, [sp, #4]", &[0x01, 0x90], Kind::Store { register_offset: false }, [Some(13), None]),
        ("str r0, [r1, r2]", &[0x88, 0x50], Kind::Store { register_offset: true }, [Some(1), Some(2)]),
        ("str.w r8, [r1, r2]", &[0x41, 0xf8, 0x02, 0x80], Kind::Store { register_offset: true }, [Some(1), Some(2)]),
        ("strb.w r8, [r1, #2000]", &[0x81, 0xf8, 0xd0, 0x87], Kind::Store { register_offset: false }, [Some(1), None]),
        ("ldm r0!, {r1-r3}", &[0x0e, 0xc8], Kind::LoadMany { words: 3, jumps: false }, none),
        ("ldm.w r0!, {r4-r11}", &[0xb0, 0xe8, 0xf0, 0x0f], Kind::LoadMany { words: 8, jumps: false }, none),
        ("push {r4, r5, lr}", &[0x30, 0xb5], Kind::StoreMany { words: 3 }, none),
        ("push.w {r4-r11, lr}", &[0x2d, 0xe9, 0xf0, 0x4f], Kind::StoreMany { words: 9 }, none),
        ("pop {r4, pc}", &[0x10, 0xbd], Kind::LoadMany { words: 2, jumps: true }, none),
        ("pop.w {r4-r11, pc}", &[0xbd, 0xe8, 0xf0, 0x8f], Kind::LoadMany { words: 9, jumps: true }, none),
        ("stm.w r0!, {r4-r7}", &[0xa0, 0xe8, 0xf0, 0x00], Kind::StoreMany { words: 4 }, none),
        ("ldrd r0, r1, [r2]", &[0xd2, 0xe9, 0x00, 0x01], Kind::Pair, none),
        ("strd r0, r1, [r2, #8]", &[0xc2, 0xe9, 0x02, 0x01], Kind::Pair, none),
        ("muls r0, r1, r0", &[0x48, 0x43], Kind::Multiply, none),
        ("mul r8, r9, r10", &[0x09, 0xfb, 0x0a, 0xf8], Kind::Multiply, none),
        ("mla r0, r1, r2, r3", &[0x01, 0xfb, 0x02, 0x30], Kind::MultiplyAdd, none),
        ("mls r0, r1, r2, r3", &[0x01, 0xfb, 0x12, 0x30], Kind::MultiplyAdd, none),
        ("smull r0, r1, r2, r3", &[0x82, 0xfb, 0x03, 0x01], Kind::LongMultiply, none),
        ("umlal r0, r1, r2, r3", &[0xe2, 0xfb, 0x03, 0x01], Kind::LongMultiply, none),
        ("smlald r0, r1, r2, r3", &[0xc2, 0xfb, 0xc3, 0x01], Kind::LongMultiply, none),
        ("sdiv r0, r1, r2", &[0x91, 0xfb, 0xf2, 0xf0], Kind::Divide, none),
        ("udiv r0, r1, r2", &[0xb1, 0xfb, 0xf2, 0xf0], Kind::Divide, none),
        ("smlad r0, r1, r2, r3", &[0x21, 0xfb, 0x02, 0x30], Kind::Plain, none),
        ("smlabb r0, r1, r2, r3", &[0x11, 0xfb, 0x02, 0x30], Kind::Plain, none),
        ("smmla r0, r1, r2, r3", &[0x51, 0xfb, 0x02, 0x30], Kind::Plain, none),
        ("smlawb r0, r1, r2, r3", &[0x31, 0xfb, 0x02, 0x30], Kind::Plain, none),
        ("uxtb16 r0, r1", &[0x3f, 0xfa, 0x81, 0xf0], Kind::Plain, none),
        ("adds r0, r1, r2", &[0x88, 0x18], Kind::Plain, none),
        ("add.w r0, r1, r2, lsl #3", &[0x01, 0xeb, 0xc2, 0x00], Kind::Plain, none),
        ("movw r0, #1234", &[0x40, 0xf2, 0xd2, 0x40], Kind::Plain, none),
        ("ubfx r0, r1, #3, #4", &[0xc1, 0xf3, 0xc3, 0x00], Kind::Plain, none),
        ("b", &[0xbb, 0xe7], Kind::Branch, none),
        ("b.w", &[0xff, 0xf7, 0xba, 0xbf], Kind::Branch, none),
        ("bl", &[0xff, 0xf7, 0xb8, 0xff], Kind::Call, none),
        ("bx lr", &[0x70, 0x47], Kind::Branch, none),
        ("blx r3", &[0x98, 0x47], Kind::Call, none),
        ("mov pc, r3", &[0x9f, 0x46], Kind::Branch, none),
        ("cbz r0", &[0x10, 0xb1], Kind::ConditionalBranch, none),
        ("beq", &[0xb2, 0xd0], Kind::ConditionalBranch, none),
        ("beq.w", &[0x3f, 0xf4, 0xb1, 0xaf], Kind::ConditionalBranch, none),
        ("tbb [pc, r0]", &[0xdf, 0xe8, 0x00, 0xf0], Kind::TableBranch, none),
        ("it eq", &[0x08, 0xbf], Kind::IfThen, none),
        ("nop", &[0x00, 0xbf], Kind::Plain, none),
        ("mov r10, r10", &[0xd2, 0x46], Kind::Begin, none),
        ("mov r11, r11", &[0xdb, 0x46], Kind::End, none),
        ("vldr s1, [r0, #4]", &[0xd0, 0xed, 0x01, 0x0a], Kind::FloatLoad, [Some(0), None]),
        ("vldr d1, [r0, #8]", &[0x90, 0xed, 0x02, 0x1b], Kind::Pair, [Some(0), None]),
        ("vstr s1, [r0, #4]", &[0xc0, 0xed, 0x01, 0x0a], Kind::FloatStore, [Some(0), None]),
        ("vstmia r0!, {s0-s3}", &[0xa0, 0xec, 0x04, 0x0a], Kind::StoreMany { words: 4 }, [Some(0), None]),
        ("vpush {d8-d15}", &[0x2d, 0xed, 0x10, 0x8b], Kind::StoreMany { words: 16 }, [Some(13), None]),
        ("vpop {d8-d11}", &[0xbd, 0xec, 0x08, 0x8b], Kind::LoadMany { words: 8, jumps: false }, [Some(13), None]),
        ("vadd.f32 s0, s1, s2", &[0x30, 0xee, 0x81, 0x0a], Kind::FloatOperation, none),
        ("vmul.f32 s0, s1, s2", &[0x20, 0xee, 0x81, 0x0a], Kind::FloatOperation, none),
        ("vmla.f32 s0, s1, s2", &[0x00, 0xee, 0x81, 0x0a], Kind::FloatMultiplyAdd, none),
        ("vfms.f32 s0, s1, s2", &[0xa0, 0xee, 0xc1, 0x0a], Kind::FloatMultiplyAdd, none),
        ("vdiv.f32 s0, s1, s2", &[0x80, 0xee, 0x81, 0x0a], Kind::FloatDivide, none),
        ("vsqrt.f32 s0, s1", &[0xb1, 0xee, 0xe0, 0x0a], Kind::FloatDivide, none),
        ("vneg.f32 s0, s1", &[0xb1, 0xee, 0x60, 0x0a], Kind::FloatMove, none),
        ("vmov.f32 s0, #1.0", &[0xb7, 0xee, 0x00, 0x0a], Kind::FloatMove, none),
        ("vmov r1, s0", &[0x10, 0xee, 0x10, 0x1a], Kind::FloatMove, none),
        ("vmov r1, r2, s0, s1", &[0x52, 0xec, 0x10, 0x1a], Kind::FloatMovePair, none),
        ("vcmp.f32 s0, s1", &[0xb4, 0xee, 0x60, 0x0a], Kind::FloatOperation, none),
        ("vmrs apsr_nzcv, fpscr", &[0xf1, 0xee, 0x10, 0xfa], Kind::FloatMove, none),
        ("vcvt.s32.f32 s0, s1", &[0xbd, 0xee, 0xe0, 0x0a], Kind::FloatOperation, none),
        ("vcvt.f32.s32 s0, s1", &[0xb8, 0xee, 0xe0, 0x0a], Kind::FloatOperation, none),
    ];
    for (text, bytes, kind, address) in table {
        let decoded = instructions(bytes);
        assert_eq!(decoded.len(), 1, "{text}");
        assert_eq!(usize::from(decoded[0].size), bytes.len(), "{text}");
        assert_eq!(decoded[0].kind, kind, "{text}");
        if address != none || matches!(kind, Kind::Load { .. } | Kind::Store { .. }) {
            assert_eq!(decoded[0].address, address, "{text}");
        }
    }
    let floats = |bytes: &[u8]| {
        let instruction = instructions(bytes)[0];
        (instruction.float_result, instruction.float_operands)
    };
    assert_eq!(floats(&[0xe7, 0xee, 0xa3, 0x5a]), (Some(11), [Some(15), Some(7)]), "vfma.f32 s11, s15, s7");
    assert_eq!(floats(&[0xb4, 0xee, 0x60, 0x0a]), (None, [Some(0), Some(1)]), "vcmp.f32 s0, s1");
    assert_eq!(floats(&[0xb5, 0xee, 0x40, 0x0a]), (None, [Some(0), None]), "vcmp.f32 s0, #0");
    assert_eq!(floats(&[0xc0, 0xed, 0x01, 0x0a]), (None, [Some(1), None]), "vstr s1, [r0, #4]");
    assert_eq!(floats(&[0x10, 0xee, 0x10, 0x1a]), (None, [Some(0), None]), "vmov r1, s0");
    assert_eq!(floats(&[0xf1, 0xee, 0x10, 0xfa]), (None, none), "vmrs");
    assert_eq!(floats(&[0xb7, 0xee, 0x00, 0x0a]), (None, none), "vmov.f32 s0, #1.0");
}

/// Instructions and cycles of a loop body whose last instruction jumps back.
fn turn(model: Model, bytes: &[u8]) -> (u64, u64) {
    let mut counter = Counter::new(model);
    let mut address = 0x100;
    for instruction in instructions(bytes) {
        counter.execute(address, instruction);
        address += u32::from(instruction.size);
    }
    counter.arrive(0x100);
    (counter.instructions, counter.cycles)
}

/// Whether a loop over so many multiply-adds takes what the survey found, or up to 2 % less.
fn within((instructions, cycles): (u64, u64), macs: f64, survey: (f64, f64)) -> bool {
    let close = |found: u64, survey: f64| (0.98 * survey..=survey).contains(&(found as f64 / macs));
    close(instructions, survey.0) && close(cycles, survey.1)
}

/// Inner loops that the survey of existing libraries measured with another implementation of the model:
/// CMSIS-DSP's arm_mat_vec_mult_f32 (gcc) at 2.79 instructions and 6.54 cycles a multiply-add, n = 128,
/// and a VLDM-streamed fused kernel at 1.17 and 4.37; both have a little besides their inner loop.
#[test]
fn the_models_agree_with_hand_counts_and_the_survey() {
    // Five vldmia of one register (2 each), cmp, four vfma (3 each), bne taken (1 + 2).
    let cmsis = [
        0xf3, 0xec, 0x01, 0x3a, 0xfe, 0xec, 0x01, 0x7a, 0xb6, 0xec, 0x01, 0x4a, 0xf0, 0xec, 0x01, 0x4a, 0xbc,
        0xec, 0x01, 0x5a, 0x8b, 0x42, 0xe7, 0xee, 0xa3, 0x5a, 0xa7, 0xee, 0x84, 0x6a, 0xe7, 0xee, 0xa4, 0x6a,
        0xa7, 0xee, 0x85, 0x7a, 0xeb, 0xd1,
    ];
    assert_eq!(turn(Model::M4, &cmsis), (11, 5 * 2 + 1 + 4 * 3 + 3));
    assert!(within((11, 26), 4.0, (2.79, 6.54)));

    // vldm of 4 and 16, 16 vfma, vldm of 16, cmp, 16 vfma, bne taken.
    let fused = |bytes: &mut Vec<u8>, first: u8| {
        for k in 0..16_u8 {
            let odd = if k % 2 == 1 { 0x40 } else { 0 };
            let row = if k < 8 { 0xa4 } else { 0xa8 };
            bytes.extend([
                row | odd,
                0xee,
                if k < 8 { first } else { first + 0x20 },
                ((k % 8 / 2) << 4) | 0x0a,
            ]);
        }
    };
    let mut streamed = vec![0xbc, 0xec, 0x04, 0xca, 0xb0, 0xec, 0x10, 0x4a];
    fused(&mut streamed, 0x0c);
    streamed.extend([0xb0, 0xec, 0x10, 0x4a, 0x94, 0x45]);
    fused(&mut streamed, 0x0d);
    streamed.extend([0xb7, 0xd1]);
    assert_eq!(turn(Model::M4, &streamed), (37, 5 + 2 * 17 + 32 * 3 + 1 + 3));
    assert!(within((37, 139), 32.0, (1.17, 4.37)));

    // ldr, ldr of what it loaded, ldr independent of it, mla, smull, adds, b.
    let integers = [
        0x48, 0x68, 0x42, 0x68, 0x0b, 0x68, 0x01, 0xfb, 0x02, 0x30, 0x82, 0xfb, 0x03, 0x01, 0x88, 0x18, 0xbb,
        0xe7,
    ];
    assert_eq!(turn(Model::M4, &integers), (7, 2 + 2 + 1 + 2 + 1 + 1 + 3));
    assert_eq!(turn(Model::M3, &integers), (7, 2 + 2 + 1 + 2 + 4 + 1 + 3));
    // ldr, str, ldm of 3, muls, pop {r4, pc}.
    let small = [0x48, 0x68, 0x01, 0x90, 0x0e, 0xc8, 0x48, 0x43, 0x10, 0xbd];
    assert_eq!(turn(Model::M0, &small), (5, 2 + 2 + 4 + 1 + 5));
    // vmul, vadd of its result; vfma whose sum is the result just computed.
    let hazards = [0x20, 0xee, 0x81, 0x0a, 0x30, 0xee, 0x81, 0x0a, 0x00, 0xee, 0x81, 0x0a];
    assert_eq!(turn(Model::M4, &hazards), (3, 1 + 1 + 3));
    let hazard = [0x20, 0xee, 0x81, 0x0a, 0x30, 0xee, 0x00, 0x0a];
    assert_eq!(turn(Model::M4, &hazard), (2, 1 + 1 + 1));
}
