//! The hash of names in directories: half of MD4, with signed bytes (fs/ext4/hash.c describes it; RFC 1320 is MD4).

/// The numbers that a file system mixes into its hashes.
pub(super) type Seed = [u32; 4];

/// The hash of a name, and its minor hash, which orders names of one hash.
pub(super) fn half_md4(name: &[u8], seed: Seed) -> (u32, u32) {
    let mut state = seed;
    let mut rest = name;
    loop {
        transform(&mut state, &words(rest));
        match rest.get(32..) {
            Some(more) if !more.is_empty() => rest = more,
            _ => break,
        }
    }
    // The lowest bit marks a continued hash, and the highest value the end of a directory.
    let hash = match state[1] & !1 {
        0xffff_fffe => 0xffff_fffc,
        hash => hash,
    };
    (hash, state[2])
}

/// The first 32 bytes of a name as eight words, filled up with its length.
fn words(name: &[u8]) -> [u32; 8] {
    let length = name.len() as u32;
    let pad = length | length << 8;
    let pad = pad | pad << 16;
    let mut words = [pad; 8];
    for (word, bytes) in words.iter_mut().zip(name.chunks(4)) {
        for byte in bytes {
            let signed = i32::from(*byte as i8) as u32;
            *word = signed.wrapping_add(*word << 8);
        }
    }
    words
}

fn transform(state: &mut Seed, input: &[u32; 8]) {
    // Square roots of 2 and 3, as in MD4.
    const K2: u32 = 0x5a82_7999;
    const K3: u32 = 0x6ed9_eba1;
    let [mut a, mut b, mut c, mut d] = *state;
    let mut step = |mix: fn(u32, u32, u32) -> u32, add: u32, shift: u32| {
        let sum = a.wrapping_add(mix(b, c, d)).wrapping_add(add).rotate_left(shift);
        (a, b, c, d) = (d, sum, b, c);
    };
    for (index, shift) in (0..8).zip([3, 7, 11, 19].into_iter().cycle()) {
        step(|x, y, z| z ^ (x & (y ^ z)), input[index], shift);
    }
    for (index, shift) in
        [1, 3, 5, 7, 0, 2, 4, 6].into_iter().zip([3, 5, 9, 13].into_iter().cycle())
    {
        step(|x, y, z| (x & y).wrapping_add((x ^ y) & z), input[index].wrapping_add(K2), shift);
    }
    for (index, shift) in
        [3, 7, 2, 6, 1, 5, 0, 4].into_iter().zip([3, 9, 11, 15].into_iter().cycle())
    {
        step(|x, y, z| x ^ y ^ z, input[index].wrapping_add(K3), shift);
    }
    for (word, new) in state.iter_mut().zip([a, b, c, d]) {
        *word = word.wrapping_add(new);
    }
}
