mod sieve;

fn main() {
    let threads: Vec<_> =
        (0..4).map(|i| std::thread::spawn(move || sieve::primes(10_000 * (i + 1)).len())).collect();
    let counts: Vec<usize> = threads.into_iter().map(|it| it.join().expect("no thread panics")).collect();
    println!("{counts:?}");
}

#[cfg(test)]
mod tests {
    #[test]
    fn there_are_25_primes_below_100() {
        assert_eq!(crate::sieve::primes(100).len(), 25);
    }
}
