//! AES (FIPS 197), only to encrypt: what functions reply is computed once more, after all that is measured.

const BLOCK: usize = 16;

/// A key of 16 or 32 bytes, spread out.
pub struct Cipher {
    rounds: Vec<[u8; BLOCK]>,
    table: [u8; 256],
}

impl Cipher {
    /// Spreads a key out (5.2). Its length is 16 or 32 bytes.
    pub fn new(key: &[u8]) -> Cipher {
        let table = substitutions();
        let words = key.len() / 4;
        let mut schedule: Vec<[u8; 4]> =
            key.chunks(4).map(|word| [word[0], word[1], word[2], word[3]]).collect();
        let mut constant = 1u8;
        while schedule.len() < 4 * (words + 7) {
            let place = schedule.len();
            let mut word = schedule[place - 1];
            let in_key = place % words;
            if in_key == 0 {
                word.rotate_left(1);
                word = word.map(|byte| table[usize::from(byte)]);
                word[0] ^= constant;
                constant = doubled(constant);
            } else if words > 6 && in_key == 4 {
                word = word.map(|byte| table[usize::from(byte)]);
            }
            let before = schedule[place - words];
            schedule.push([0, 1, 2, 3].map(|at| word[at] ^ before[at]));
        }
        let round =
            |words: &[[u8; 4]]| -> [u8; BLOCK] { std::array::from_fn(|at| words[at / 4][at % 4]) };
        Cipher { rounds: schedule.chunks(4).map(round).collect(), table }
    }

    /// Encrypts a block in place (5.1).
    pub fn encrypt(&self, block: &mut [u8; BLOCK]) {
        let last = self.rounds.len() - 1;
        mix_in(block, &self.rounds[0]);
        for (number, round) in self.rounds.iter().enumerate().skip(1) {
            let before = block.map(|byte| self.table[usize::from(byte)]);
            // Rows are shifted by their number: the state lies in columns.
            *block = std::array::from_fn(|at| before[(at + 4 * (at % 4)) % BLOCK]);
            if number != last {
                block.chunks_exact_mut(4).for_each(mix_column);
            }
            mix_in(block, round);
        }
    }

    /// Counter mode (NIST SP 800-38A, 6.5), the counter beginning at 0.
    pub fn counter_mode(&self, text: &[u8]) -> Vec<u8> {
        let blocks = text.chunks(BLOCK).zip(0u128..);
        let encrypted = blocks.flat_map(|(piece, number)| {
            let mut stream = number.to_be_bytes();
            self.encrypt(&mut stream);
            piece.iter().zip(stream).map(|(byte, mask)| byte ^ mask).collect::<Vec<u8>>()
        });
        encrypted.collect()
    }

    /// Chained blocks (NIST SP 800-38A, 6.2), filled up as in PKCS #7.
    pub fn chained(&self, initial: &[u8; BLOCK], text: &[u8]) -> Vec<u8> {
        let fill = BLOCK - text.len() % BLOCK;
        let mut filled = text.to_vec();
        filled.resize(text.len() + fill, fill as u8);
        let mut before = *initial;
        for block in filled.chunks_exact_mut(BLOCK) {
            let mut mixed: [u8; BLOCK] = std::array::from_fn(|at| block[at] ^ before[at]);
            self.encrypt(&mut mixed);
            block.copy_from_slice(&mixed);
            before = mixed;
        }
        filled
    }
}

fn mix_in(block: &mut [u8; BLOCK], round: &[u8; BLOCK]) {
    block.iter_mut().zip(round).for_each(|(byte, key)| *byte ^= key);
}

fn mix_column(column: &mut [u8]) {
    let [a, b, c, d] = [column[0], column[1], column[2], column[3]];
    let all = a ^ b ^ c ^ d;
    for (byte, next) in column.iter_mut().zip([b, c, d, a]) {
        *byte ^= all ^ doubled(*byte ^ next);
    }
}

/// Times x in the field of 2^8 elements that AES has (4.2).
fn doubled(value: u8) -> u8 {
    value << 1 ^ if value >> 7 == 1 { 0x1b } else { 0 }
}

/// The table of 5.1.1, from what it means: the inverse in the field, then a mixing of its bits.
fn substitutions() -> [u8; 256] {
    let mut table = [0; 256];
    // 3 generates the field: its powers and their inverses run through all of it, in opposite directions.
    let (mut power, mut inverse) = (1u8, 1u8);
    loop {
        power ^= doubled(power);
        // Division by 3.
        inverse ^= inverse << 1;
        inverse ^= inverse << 2;
        inverse ^= inverse << 4;
        inverse ^= if inverse >> 7 == 1 { 0x09 } else { 0 };
        let mixed = [1, 2, 3, 4].iter().fold(inverse, |sum, by| sum ^ inverse.rotate_left(*by));
        table[usize::from(power)] = mixed ^ 0x63;
        if power == 1 {
            break;
        }
    }
    table[0] = 0x63;
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(byte).collect()
    }

    #[test]
    fn the_examples_of_the_standard_come_out() {
        // FIPS 197, C.1 and C.3.
        for (key, expected) in [
            ("000102030405060708090a0b0c0d0e0f", "69c4e0d86a7b0430d8cdb78070b4c55a"),
            (
                "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
                "8ea2b7ca516745bfeafc49904b496089",
            ),
        ] {
            let mut block: [u8; BLOCK] =
                hex("00112233445566778899aabbccddeeff").try_into().unwrap();
            Cipher::new(&hex(key)).encrypt(&mut block);
            assert_eq!(block.to_vec(), hex(expected));
        }
    }
}
