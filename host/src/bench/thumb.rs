//! Decodes Thumb instructions as far as their time depends on it: ARMv6-M, ARMv7E-M, FPv4-SP.
//!
//! Source: ARMv7-M Architecture Reference Manual, chapters A5 to A7 (encodings).

/// What an instruction does, as far as its time depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anything that takes one cycle: data processing, moves, most of the DSP extension.
    Plain,
    /// A product of 32 bits.
    Multiply,
    /// A product of 32 bits and a sum.
    MultiplyAdd,
    /// A product of 64 bits, with or without a sum.
    LongMultiply,
    /// Division of integers.
    Divide,
    /// A load of one core register.
    Load {
        /// The register; 15 is a jump.
        to: u8,
    },
    /// A store of one core register; with an offset in a register it cannot be buffered away.
    Store {
        /// The offset is in a register.
        register_offset: bool,
    },
    /// Load of so many registers; it may end with a jump.
    LoadMany {
        /// Registers, or words of double registers.
        words: u8,
        /// The last one is the program counter.
        jumps: bool,
    },
    /// Store of so many registers.
    StoreMany {
        /// Registers, or words of double registers.
        words: u8,
    },
    /// Load or store of two core registers, or of one double.
    Pair,
    /// Load of one single-precision register.
    FloatLoad,
    /// Store of one single-precision register.
    FloatStore,
    /// Move that involves two core registers and two single ones, or a double.
    FloatMovePair,
    /// Move, absolute value or negation of one single-precision register.
    FloatMove,
    /// Sum, product, comparison or conversion in floating point.
    FloatOperation,
    /// Product and sum in floating point, fused or not.
    FloatMultiplyAdd,
    /// Division or square root in floating point.
    FloatDivide,
    /// A jump that is always taken.
    Branch,
    /// A jump that is always taken and remembers where it came from.
    Call,
    /// A jump that may be taken.
    ConditionalBranch,
    /// A jump through a table of offsets.
    TableBranch,
    /// The head of an IT block.
    IfThen,
    /// `mov r10, r10`: work begins.
    Begin,
    /// `mov r11, r11`: work ended.
    End,
}

/// An instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Bytes: 2 or 4.
    pub size: u8,
    /// What it does.
    pub kind: Kind,
    /// Base and offset register of an address, where a load just before could delay it.
    pub address: [Option<u8>; 2],
    /// Single-precision register that arithmetic writes.
    pub float_result: Option<u8>,
    /// Single-precision registers that are read, the sum of a multiply-add excepted.
    pub float_operands: [Option<u8>; 2],
}

impl Instruction {
    /// The instruction that begins with `first`; `second` is the halfword after it.
    #[must_use]
    pub fn decode(first: u16, second: u16) -> Self {
        let wide = first >> 11 >= 0b11101;
        let mut instruction = Self {
            size: if wide { 4 } else { 2 },
            kind: Kind::Plain,
            address: [None; 2],
            float_result: None,
            float_operands: [None; 2],
        };
        if !wide {
            instruction.narrow(first);
        } else if is_float(first, second) {
            instruction.float(first, second);
        } else {
            instruction.wide(first, second);
        }
        instruction
    }

    fn narrow(&mut self, code: u16) {
        let register = |shift: u32| (code >> shift & 7) as u8;
        let load = code & 0x0800 != 0;
        let count = |mask: u16| (code & mask).count_ones() as u8;
        self.kind = match code >> 12 {
            _ if code == 0x46d2 => Kind::Begin,
            _ if code == 0x46db => Kind::End,
            0x4 if code & 0xf800 == 0x4800 => {
                self.address = [Some(15), None];
                Kind::Load { to: register(8) }
            }
            0x4 if code & 0xffc0 == 0x4340 => Kind::Multiply,
            0x4 if code & 0xff80 == 0x4780 => Kind::Call,
            // BX; MOV and ADD to the program counter.
            0x4 if code & 0xff00 == 0x4700 || code & 0xfd87 == 0x4487 => Kind::Branch,
            0x5 => {
                self.address = [Some(register(3)), Some(register(6))];
                if code >> 9 & 7 < 3 {
                    Kind::Store { register_offset: true }
                } else {
                    Kind::Load { to: register(0) }
                }
            }
            0x6..=0x8 => {
                self.address = [Some(register(3)), None];
                if load { Kind::Load { to: register(0) } } else { Kind::Store { register_offset: false } }
            }
            0x9 => {
                self.address = [Some(13), None];
                if load { Kind::Load { to: register(8) } } else { Kind::Store { register_offset: false } }
            }
            0xb if code & 0xfe00 == 0xb400 => Kind::StoreMany { words: count(0x1ff) },
            0xb if code & 0xfe00 == 0xbc00 => {
                Kind::LoadMany { words: count(0x1ff), jumps: code & 0x100 != 0 }
            }
            // CBZ, CBNZ.
            0xb if code & 0xf500 == 0xb100 => Kind::ConditionalBranch,
            0xb if code & 0xff00 == 0xbf00 && code & 0xf != 0 => Kind::IfThen,
            0xc if load => Kind::LoadMany { words: count(0xff), jumps: false },
            0xc => Kind::StoreMany { words: count(0xff) },
            0xd if code & 0x0e00 != 0x0e00 => Kind::ConditionalBranch,
            0xe => Kind::Branch,
            _ => Kind::Plain,
        };
    }

    fn wide(&mut self, first: u16, second: u16) {
        let base = (first & 0xf) as u8;
        let to = (second >> 12) as u8;
        self.kind = match first >> 8 {
            // TBB, TBH.
            0xe8 if first & 0xfff0 == 0xe8d0 && second & 0xffe0 == 0xf000 => Kind::TableBranch,
            // LDRD, STRD and the exclusive ones.
            0xe8 | 0xe9 if first & 0x40 != 0 => Kind::Pair,
            0xe8 | 0xe9 => {
                let words = second.count_ones() as u8;
                if first & 0x10 != 0 {
                    Kind::LoadMany { words, jumps: second & 0x8000 != 0 }
                } else {
                    Kind::StoreMany { words }
                }
            }
            0xf0..=0xf7 if second & 0x8000 != 0 => match second & 0x5000 {
                0x5000 => Kind::Call,
                0x1000 => Kind::Branch,
                0x0000 if first & 0x0380 != 0x0380 => Kind::ConditionalBranch,
                _ => Kind::Plain,
            },
            0xf8 | 0xf9 => {
                // An offset in a register: neither a 12-bit offset nor the form with indexing.
                let register_offset = first & 0x80 == 0 && second & 0x0800 == 0;
                self.address = [Some(base), register_offset.then_some((second & 0xf) as u8)];
                if first & 0x10 != 0 { Kind::Load { to } } else { Kind::Store { register_offset } }
            }
            0xfb => match (first >> 4 & 0xf, second >> 4 & 0xf) {
                (0, 0) if to == 15 => Kind::Multiply,
                (0, 0 | 1) => Kind::MultiplyAdd,
                (0x9 | 0xb, _) => Kind::Divide,
                (0x8.., _) => Kind::LongMultiply,
                // SMLAD, SMLABB, SMMLA and their kin.
                _ => Kind::Plain,
            },
            _ => Kind::Plain,
        };
    }

    fn float(&mut self, first: u16, second: u16) {
        let register = |high: u16, low: u16| Some(((high & 0xf) << 1 | low & 1) as u8);
        let (d, n, m) =
            (register(second >> 12, first >> 6), register(first, second >> 7), register(second, second >> 5));
        let double = second & 0x100 != 0;
        let load = first & 0x10 != 0;
        if first >> 9 == 0xec00 >> 9 {
            self.address = [Some((first & 0xf) as u8), None];
            self.kind = match (first & 0x0120, double) {
                _ if first & 0xffe0 == 0xec40 => Kind::FloatMovePair,
                (0x0100, true) => Kind::Pair,
                (0x0100, false) if load => Kind::FloatLoad,
                (0x0100, false) => {
                    self.float_operands = [d, None];
                    Kind::FloatStore
                }
                _ if load => Kind::LoadMany { words: second as u8, jumps: false },
                _ => Kind::StoreMany { words: second as u8 },
            };
            return;
        }
        // Between a core register and a single one.
        if second & 0x10 != 0 {
            self.kind = Kind::FloatMove;
            self.float_operands = [if load { n } else { None }, None];
            return;
        }
        self.float_result = d;
        self.float_operands = [n, m];
        self.kind = match (first >> 7 & 1, first >> 4 & 3) {
            (0, 0 | 1) | (1, 1 | 2) => Kind::FloatMultiplyAdd,
            (0, _) => Kind::FloatOperation,
            (1, 0) => Kind::FloatDivide,
            _ => {
                self.float_operands = [None, m];
                match (first & 0xf, second >> 6 & 3) {
                    // VMOV of a constant.
                    (_, 0 | 2) => {
                        self.float_operands = [None; 2];
                        Kind::FloatMove
                    }
                    (1, 3) => Kind::FloatDivide,
                    (0 | 1, _) => Kind::FloatMove,
                    // VCMP reads d and writes flags.
                    (4, _) => {
                        self.float_operands = [d, m];
                        self.float_result = None;
                        Kind::FloatOperation
                    }
                    (5, _) => {
                        self.float_operands = [d, None];
                        self.float_result = None;
                        Kind::FloatOperation
                    }
                    _ => Kind::FloatOperation,
                }
            }
        };
        // The TRM's penalty is for arithmetic: what a move leaves behind can be read at once.
        if self.kind == Kind::FloatMove {
            self.float_result = None;
        }
    }
}

/// Coprocessors 10 and 11.
fn is_float(first: u16, second: u16) -> bool {
    matches!(first >> 8, 0xec..=0xee) && matches!(second >> 8 & 0xf, 10 | 11)
}
