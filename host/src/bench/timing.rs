//! Modelled cycles of executed instructions, from the timing tables of Arm's Technical Reference Manuals.
//!
//! A model, not a measurement: memory answers at once (no wait states, no contention) and the pipeline
//! refills in P = 2 cycles after a jump. Cycles of:
//!
//! | | M4 | M3 | M0 |
//! |---|---|---|---|
//! | data processing, MUL, DSP | 1 | 1 | 1 (one-cycle multiplier) |
//! | MLA | 2 | 2 | |
//! | long multiply | 1 | 4 | |
//! | divide | 7 | 7 | |
//! | load | 2; 1 behind an independent load | as M4 | 2 |
//! | store | 1; offset in a register: 2, 1 behind a load | as M4 | 2 |
//! | load or store of N registers | 1 + N | 1 + N | 1 + N |
//! | load or store of two registers, of a double | 3 | 3 | |
//! | jump taken, call | 1 + P; + P if a load does it | as M4 | 3; call 4; load + 2 |
//! | jump not taken | 1 | 1 | 1 |
//! | IT | 1; 0 behind an instruction of 16 bits | as M4 | |
//! | VMUL, VADD, VCMP, VCVT, VMOV | 1 | | |
//! | VMLA, VFMA | 3 | | |
//! | VDIV, VSQRT | 14 | | |
//! | result of FP arithmetic used by the next instruction, but as the sum of a multiply-add | + 1 | | |
//!
//! Instructions of an IT block count whether or not their condition holds. Source: the tables of sections
//! 3.3 and 7.2 of the Cortex-M4 TRM, 3.3 of the M3 and M0 TRM; data-dependent ranges (divide, long multiply
//! on the M3) stand at their middle.

use super::thumb::{Instruction, Kind};

/// A core whose time is modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// Cortex-M0 with the one-cycle multiplier.
    M0,
    /// Cortex-M3.
    M3,
    /// Cortex-M4 with its floating-point unit.
    M4,
}

/// Cycles to refill the pipeline.
const REFILL: u64 = 2;

impl Model {
    /// Name and assumptions.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::M0 => "M0 TRM, zero wait states, one-cycle multiplier",
            Self::M3 => "M3 TRM, zero wait states, P = 2",
            Self::M4 => "M4 TRM, zero wait states, P = 2",
        }
    }

    /// Cycles of `instruction` behind `previous`, without those of a jump that may or may not be taken.
    fn cycles(self, instruction: &Instruction, previous: Option<&Instruction>) -> u64 {
        if self == Self::M0 {
            return match instruction.kind {
                Kind::Load { .. } | Kind::Store { .. } => 2,
                Kind::LoadMany { words, jumps } => 1 + u64::from(words) + if jumps { REFILL } else { 0 },
                Kind::StoreMany { words } => 1 + u64::from(words),
                Kind::Branch => 1 + REFILL,
                Kind::Call => 2 + REFILL,
                _ => 1,
            };
        }
        let after_load = previous.is_some_and(|previous| previous.is_single_load());
        let pipelined = after_load && !previous.is_some_and(|previous| previous.delays(instruction));
        let hazard = previous.and_then(|previous| previous.float_result);
        let load = if pipelined { 1 } else { 2 };
        let refill = |jumps| if jumps { REFILL } else { 0 };
        let stall = hazard.is_some() && instruction.float_operands.contains(&hazard);
        u64::from(stall)
            + match instruction.kind {
                Kind::Begin
                | Kind::End
                | Kind::Plain
                | Kind::Multiply
                | Kind::FloatStore
                | Kind::FloatMove
                | Kind::FloatOperation
                | Kind::ConditionalBranch => 1,
                Kind::MultiplyAdd | Kind::FloatMovePair => 2,
                Kind::LongMultiply if self == Self::M3 => 4,
                Kind::LongMultiply => 1,
                Kind::Divide => 7,
                Kind::Load { to } => load + refill(to == 15),
                Kind::FloatLoad => load,
                Kind::Store { register_offset: true } if !after_load => 2,
                Kind::Store { .. } => 1,
                Kind::LoadMany { words, jumps } => 1 + u64::from(words) + refill(jumps),
                Kind::StoreMany { words } => 1 + u64::from(words),
                Kind::Pair | Kind::FloatMultiplyAdd => 3,
                Kind::FloatDivide => 14,
                Kind::Branch | Kind::Call => 1 + REFILL,
                Kind::TableBranch => 2 + REFILL,
                Kind::IfThen => u64::from(previous.is_none_or(|previous| previous.size != 2)),
            }
    }
}

impl Instruction {
    fn is_single_load(&self) -> bool {
        matches!(self.kind, Kind::Load { .. } | Kind::FloatLoad)
    }

    /// Whether the address of `next` needs what this loads.
    fn delays(&self, next: &Self) -> bool {
        matches!(self.kind, Kind::Load { to } if next.address.contains(&Some(to)))
    }
}

/// Counts executed instructions and their cycles.
#[derive(Clone, Debug)]
pub struct Counter {
    model: Model,
    /// The last instruction and its address.
    previous: Option<(u32, Instruction)>,
    /// Instructions so far.
    pub instructions: u64,
    /// Cycles so far.
    pub cycles: u64,
}

impl Counter {
    /// Nothing counted yet.
    #[must_use]
    pub const fn new(model: Model) -> Self {
        Self { model, previous: None, instructions: 0, cycles: 0 }
    }

    /// Counts the instruction executed at `address`.
    pub fn execute(&mut self, address: u32, instruction: Instruction) {
        self.arrive(address);
        self.cycles += self.model.cycles(&instruction, self.previous.as_ref().map(|(_, previous)| previous));
        self.instructions += 1;
        self.previous = Some((address, instruction));
    }

    /// Where execution went: a conditional jump before it was taken or not.
    pub fn arrive(&mut self, address: u32) {
        if let Some((from, previous)) = self.previous
            && previous.kind == Kind::ConditionalBranch
            && from + u32::from(previous.size) != address
        {
            self.cycles += REFILL;
        }
    }
}
