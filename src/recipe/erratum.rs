/// A change of a program's bytes that keeps its meaning and goes round a fault of gem5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Erratum {
    /// `runtime.gcWriteBarrierR8` of Go programs, with the long form of `xchg r8, rax`: gem5 takes the short one for a nop.
    GoWriteBarrierR8,
}

impl Erratum {
    /// All that there are.
    pub const ALL: [Self; 1] = [Self::GoWriteBarrierR8];

    /// As recipes and derivations write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::GoWriteBarrierR8 => "go-write-barrier-r8",
        }
    }
}
