//! The Mersenne Twister as PyTorch's CPU generator runs it.
//!
//! Makoto Matsumoto, Takuji Nishimura: "Mersenne Twister: A 623-dimensionally equidistributed
//! uniform pseudo-random number generator", ACM TOMACS 8(1), 1998.

/// A stream of 32-bit numbers, given by its seed.
pub(crate) struct Mt19937 {
    state: [u32; N],
    next: usize,
}

impl Mt19937 {
    /// The stream of `torch.manual_seed(seed)`, which looks at the low 32 bits.
    pub(crate) fn new(seed: u64) -> Mt19937 {
        let mut state = [0; N];
        state[0] = seed as u32;
        for i in 1..N {
            let before: u32 = state[i - 1];
            state[i] = (before ^ (before >> 30)).wrapping_mul(0x6c07_8965).wrapping_add(i as u32);
        }
        Mt19937 { state, next: N }
    }

    pub(crate) fn next_u32(&mut self) -> u32 {
        if self.next == N {
            self.twist();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        let high = u64::from(self.next_u32());
        high << 32 | u64::from(self.next_u32())
    }

    fn twist(&mut self) {
        for i in 0..N {
            let y = (self.state[i] & UPPER) | (self.state[(i + 1) % N] & !UPPER);
            let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + M) % N] ^ (y >> 1) ^ odd;
        }
        self.next = 0;
    }
}

/// `torch.randperm(n, generator=torch.Generator().manual_seed(seed))`.
pub(crate) fn randperm(n: u32, seed: u64) -> Vec<u32> {
    let mut generator = Mt19937::new(seed);
    if n < u32::MAX / 20 {
        let mut res: Vec<u32> = (0..n).collect();
        for i in 0..n.saturating_sub(1) {
            let z = generator.next_u32() % (n - i);
            res.swap(i as usize, (i + z) as usize);
        }
        return res;
    }
    // With so many, the remainder of a 32-bit number would not be uniform.
    let mut res: Vec<u32> = Vec::with_capacity(n as usize);
    for i in 0..n {
        let z = (generator.next_u64() % u64::from(i + 1)) as usize;
        res.push(i);
        res.swap(i as usize, z);
    }
    res
}

const N: usize = 624;
const M: usize = 397;
const UPPER: u32 = 0x8000_0000;
