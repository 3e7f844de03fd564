pub fn primes(below: usize) -> Vec<usize> {
    let mut composite = vec![false; below];
    let mut found = Vec::new();
    for n in 2..below {
        if !composite[n] {
            found.push(n);
            (n * n..below).step_by(n).for_each(|k| composite[k] = true);
        }
    }
    found
}
