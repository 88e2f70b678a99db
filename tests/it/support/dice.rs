//! Random choices that can be repeated: every test prints its seed, `HOLDFAST_TEST_SEED` sets it.

/// SplitMix64 (Steele, Lea, Flood 2014): enough for choosing moments and sectors.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice for `test`, seeded from the environment or from the clock.
    pub fn for_test(test: &str) -> Self {
        let seed = match std::env::var("HOLDFAST_TEST_SEED") {
            Ok(seed) => seed.parse().expect("HOLDFAST_TEST_SEED is a number"),
            Err(_) => std::time::UNIX_EPOCH.elapsed().map_or(1, |now| now.as_nanos() as u64),
        };
        println!("{test}: HOLDFAST_TEST_SEED={seed}");
        Self(seed)
    }

    /// Dice that roll the same for the same `seed`.
    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 random bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound` (which is not 0).
    pub fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound as u64) as usize
    }

    /// Heads or tails.
    pub fn coin(&mut self) -> bool {
        self.roll() & 1 == 1
    }
}
