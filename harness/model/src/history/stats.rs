//! The three figures behind every statement about chance: an interval, a posterior, a comparison.

/// Two-sided 95 % quantile of the normal distribution.
const Z_TWO_SIDED: f64 = 1.959_964;
/// One-sided 95 % quantile.
const Z_ONE_SIDED: f64 = 1.644_854;

/// Wilson's 95 % interval of a rate, from 0 to 1. Without runs it is everything.
#[must_use]
pub fn wilson(passes: u32, runs: u32) -> (f64, f64) {
    score(passes, runs, Z_TWO_SIDED)
}

/// The rate that is exceeded with 95 % confidence.
#[must_use]
pub fn at_least(passes: u32, runs: u32) -> f64 {
    score(passes, runs, Z_ONE_SIDED).0
}

fn score(passes: u32, runs: u32, z: f64) -> (f64, f64) {
    if runs == 0 {
        return (0.0, 1.0);
    }
    let n = f64::from(runs);
    let p = f64::from(passes.min(runs)) / n;
    let z2 = z * z;
    let centre = p + z2 / (2.0 * n);
    let half = z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z2 / n;
    (((centre - half) / scale).max(0.0), ((centre + half) / scale).min(1.0))
}

/// How likely it is that something fails more often than in 2 % of its runs, after this many failures, when one failure
/// in fifty was expected beforehand: Beta(1, 49) as the prior.
///
/// For whole numbers the incomplete beta function is a sum of binomial terms: no failures above, one below, and so on.
#[must_use]
pub fn flaky_beyond_two_percent(failures: u32, runs: u32) -> f64 {
    const RATE: f64 = 0.02;
    let trials = 49 + runs;
    let mut term = (1.0 - RATE).powi(i32::try_from(trials).unwrap_or(i32::MAX));
    let mut sum = term;
    for k in 1..=failures.min(trials) {
        term *= f64::from(trials - k + 1) / f64::from(k) * RATE / (1.0 - RATE);
        sum += term;
    }
    sum.min(1.0)
}

/// Fisher's exact test, one-sided: how likely at least so many of the failures fall into the sample when sample and basis
/// fail equally often.
#[must_use]
pub fn fisher(failed: u32, runs: u32, basis_failed: u32, basis_runs: u32) -> f64 {
    let (all, all_failed) = (runs + basis_runs, failed + basis_failed);
    // Ways to have k failures in the sample, divided by all ways; products of ratios stay in range.
    let ways = |k: u32| choose(all_failed, k) * choose(all - all_failed, runs - k) / choose(all, runs);
    (failed..=runs.min(all_failed)).filter(|k| runs - k <= all - all_failed).map(ways).sum::<f64>().min(1.0)
}

fn choose(n: u32, k: u32) -> f64 {
    let k = k.min(n.saturating_sub(k));
    (0..k).fold(1.0, |product, i| product * f64::from(n - i) / f64::from(i + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(value: f64, wanted: f64, places: i32) {
        assert!((value - wanted).abs() < 0.5001 * 10_f64.powi(-places), "{value} is not {wanted}");
    }

    #[test]
    fn intervals_have_their_published_values() {
        for (passes, runs, low, high, one_sided) in [
            (1, 1, 0.207, 1.0, 0.270),
            (3, 3, 0.439, 1.0, 0.526),
            (5, 5, 0.566, 1.0, 0.649),
            (10, 10, 0.722, 1.0, 0.787),
            (20, 20, 0.839, 1.0, 0.881),
            (30, 30, 0.886, 1.0, 0.917),
            (50, 50, 0.929, 1.0, 0.949),
            (100, 100, 0.963, 1.0, 0.974),
            (300, 300, 0.987, 1.0, 0.991),
            (9, 10, 0.596, 0.982, 0.652),
            (48, 50, 0.865, 0.989, 0.886),
            (98, 100, 0.930, 0.994, 0.941),
        ] {
            near(wilson(passes, runs).0, low, 3);
            near(wilson(passes, runs).1, high, 3);
            near(at_least(passes, runs), one_sided, 3);
        }
        assert_eq!(wilson(0, 0), (0.0, 1.0));
    }

    #[test]
    fn the_posterior_has_its_published_values() {
        for (failures, runs, wanted) in [(0, 50, 0.14), (1, 50, 0.41), (2, 50, 0.68), (5, 100, 0.92), (1, 100, 0.20)] {
            near(flaky_beyond_two_percent(failures, runs), wanted, 2);
        }
    }

    #[test]
    fn the_comparison_has_its_published_values() {
        for (failed, runs, wanted, places) in
            [(2, 3, 0.003, 3), (1, 3, 0.086, 3), (3, 10, 0.005, 3), (3, 20, 0.032, 3), (2, 20, 0.13, 2)]
        {
            near(fisher(failed, runs, 2, 100), wanted, places);
        }
        near(fisher(0, 5, 0, 5), 1.0, 6);
        near(fisher(5, 5, 5, 5), 1.0, 6);
    }
}
