//! The instructions that an image executed between two marks, from QEMU's log of blocks.
//!
//! `-d in_asm,exec,nochain` logs the addresses of every block of straight-line code that QEMU translates,
//! and every block that begins to run: with the bytes of the image, every instruction.

use std::collections::HashMap;
use std::io::BufRead;

use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};

use super::thumb::{Instruction, Kind};
use super::timing::{Counter, Model};
use crate::{Error, Result};

/// The code of an image.
pub struct Program {
    /// Executable sections: address of the first byte, bytes.
    code: Vec<(u32, Vec<u8>)>,
    /// Address and end of functions that run long outside of what is counted.
    quiet: Vec<(u32, u32)>,
    /// What compiled it, as the compiler says in the image.
    pub compiler: String,
}

/// Parts of the names of functions that run long before and after what is counted: painting the stack,
/// looking at the paint, checking the model. If one were counted, the trace would miss it and differ from
/// the count.
const QUIET: [&str; 3] = ["Reset", "worst_stack", "wire"];

impl Program {
    /// Reads an ELF file.
    ///
    /// # Errors
    /// Not an ELF file; `place` names it.
    pub fn read(bytes: &[u8], place: &str) -> Result<Self> {
        let refused = |error: object::Error| Error::input(place, "an ELF file", error.to_string());
        let elf = object::File::parse(bytes).map_err(refused)?;
        let text = |section: &object::Section<'_, '_>| section.kind() == SectionKind::Text;
        let code = elf
            .sections()
            .filter(text)
            .map(|section| Ok((section.address() as u32, section.data().map_err(refused)?.to_vec())))
            .collect::<Result<Vec<(u32, Vec<u8>)>>>()?;
        let quiet = elf
            .symbols()
            .filter(|symbol| symbol.kind() == SymbolKind::Text)
            .filter(|symbol| symbol.name().is_ok_and(|name| QUIET.iter().any(|part| name.contains(part))))
            .map(|symbol| {
                let begin = symbol.address() as u32 & !1;
                (begin, begin + symbol.size() as u32)
            })
            .collect();
        let comment = elf.section_by_name(".comment").and_then(|section| section.data().ok());
        let compiler = String::from_utf8_lossy(comment.unwrap_or_default())
            .split('\0')
            .find_map(|text| text.strip_prefix("rustc version "))
            .map_or("an unknown compiler".into(), |version| format!("rustc {version}"));
        Ok(Self { code, quiet, compiler })
    }

    /// QEMU's options that write the log to `file`.
    #[must_use]
    pub fn options(&self, file: &str) -> [String; 6] {
        let mut quiet = self.quiet.clone();
        quiet.sort_unstable();
        let mut ranges = Vec::new();
        for (address, bytes) in &self.code {
            let (mut from, end) = (*address, address + bytes.len() as u32);
            let inside = *address..end;
            for &(begin, after) in quiet.iter().filter(|(begin, _)| inside.contains(begin)) {
                ranges.push((from, begin));
                from = from.max(after);
            }
            ranges.push((from, end));
        }
        // QEMU's ranges include their end.
        let ranges: Vec<String> = ranges
            .into_iter()
            .filter(|(from, end)| from < end)
            .map(|(from, end)| format!("{from:#x}..{:#x}", end - 1))
            .collect();
        [
            "-d".into(),
            "in_asm,exec,nochain".into(),
            "-D".into(),
            file.into(),
            "-dfilter".into(),
            ranges.join(","),
        ]
    }

    fn halfword(&self, address: u32) -> Option<u16> {
        self.code.iter().find_map(|(begin, bytes)| {
            let at = address.checked_sub(*begin)? as usize;
            Some(u16::from_le_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
        })
    }

    fn instruction(&self, address: u32) -> Result<Instruction> {
        let first = self
            .halfword(address)
            .ok_or_else(|| Error::CheckFailed(format!("the trace left the image at {address:#010x}")))?;
        Ok(Instruction::decode(first, self.halfword(address + 2).unwrap_or(0)))
    }

    /// Instructions and cycles of the last region between marks that the log tells of.
    ///
    /// # Errors
    /// A log that does not fit the image.
    pub fn count(&self, mut log: impl BufRead, model: Model) -> Result<Counter> {
        let mut region: Option<Counter> = None;
        let mut last = None;
        let mut run = |block: &[(u32, Instruction)]| {
            for &(address, instruction) in block {
                match (&mut region, instruction.kind) {
                    (_, Kind::Begin) => region = Some(Counter::new(model)),
                    (Some(counter), Kind::End) => {
                        counter.arrive(address);
                        last = region.take();
                    }
                    (Some(counter), _) => counter.execute(address, instruction),
                    (None, _) => {}
                }
            }
        };
        // The addresses of a block are told when it is translated, just before it first runs.
        let mut translated: Vec<u32> = Vec::new();
        let mut blocks: HashMap<u64, Vec<(u32, Instruction)>> = HashMap::new();
        let mut pending: Option<u64> = None;
        let mut line = String::new();
        while log.read_line(&mut line).map_err(|error| Error::CheckFailed(format!("QEMU's log: {error}")))?
            > 0
        {
            match entry(&line) {
                Some(Entry::Translated) => translated.clear(),
                Some(Entry::Instruction { address }) => translated.push(address),
                Some(Entry::Begins { block }) => {
                    if let Some(before) = pending.replace(block) {
                        run(blocks.get(&before).map_or(&[], Vec::as_slice));
                    }
                    if !translated.is_empty() {
                        let decode = |address: u32| Ok((address, self.instruction(address)?));
                        blocks.insert(block, translated.drain(..).map(decode).collect::<Result<_>>()?);
                    }
                }
                // It did not run after all: it will be announced again.
                Some(Entry::Stopped) => pending = None,
                None => {}
            }
            line.clear();
        }
        if let Some(before) = pending {
            run(blocks.get(&before).map_or(&[], Vec::as_slice));
        }
        last.ok_or_else(|| Error::CheckFailed("the trace has no marks".into()))
    }
}

/// What a line of the log says.
enum Entry {
    /// `IN: Reset`: the addresses of a block follow.
    Translated,
    /// `0x00000404:  4812       ldr      r0, [pc, #0x48]`.
    Instruction { address: u32 },
    /// `Trace 0: 0x7f9240000100 [00800408/00000400/00000110/ff000200] Reset`: the first number names the block.
    Begins { block: u64 },
    /// `Stopped execution of TB chain before 0x7f9240000100 [00000400] Reset`.
    Stopped,
}

fn entry(line: &str) -> Option<Entry> {
    let number = |digits: &str| u64::from_str_radix(digits, 16).ok();
    if let Some(rest) = line.strip_prefix("Trace ") {
        let block = number(rest.split_once("0x")?.1.split(' ').next()?)?;
        Some(Entry::Begins { block })
    } else if let Some(rest) = line.strip_prefix("0x") {
        Some(Entry::Instruction { address: number(rest.split_once(':')?.0)? as u32 })
    } else if line.starts_with("IN:") {
        Some(Entry::Translated)
    } else if line.starts_with("Stopped execution") {
        Some(Entry::Stopped)
    } else {
        None
    }
}
