//! Sums that keep what ordinary addition loses. Source: Neumaier, "Rundungsfehleranalyse einiger Verfahren".

/// A running sum with its compensation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kahan {
    pub(crate) sum: f64,
    pub(crate) compensation: f64,
}

impl Kahan {
    pub(crate) fn add(&mut self, value: f64) {
        let total = self.sum + value;
        if total.is_infinite() {
            self.compensation = 0.0;
        } else if self.sum.abs() >= value.abs() {
            self.compensation += (self.sum - total) + value;
        } else {
            self.compensation += (value - total) + self.sum;
        }
        self.sum = total;
    }

    pub(crate) fn total(self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.compensation }
    }
}

/// A running mean: of the sum as long as that is finite, else computed step by step.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mean {
    count: f64,
    value: Kahan,
    incremental: bool,
}

impl Mean {
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.incremental {
            let mut next = self.value;
            next.add(value);
            if self.count == 1.0 || !next.sum.is_infinite() {
                self.value = next;
                return;
            }
            // The sum overflows where the mean need not.
            self.incremental = true;
            self.value.sum /= self.count - 1.0;
            self.value.compensation /= self.count - 1.0;
        }
        let before = (self.count - 1.0) / self.count;
        let mut next = Kahan { sum: before * self.value.sum, compensation: before * self.value.compensation };
        next.add(value / self.count);
        self.value = next;
    }

    pub(crate) fn count(self) -> f64 {
        self.count
    }

    pub(crate) fn total(self) -> f64 {
        if self.incremental {
            return self.value.total();
        }
        if self.value.sum.is_infinite() {
            return self.value.sum / self.count;
        }
        self.value.sum / self.count + self.value.compensation / self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_small_numbers_beside_large_ones() {
        let mut sum = Kahan::default();
        [1.0, 1e100, 1.0, -1e100].into_iter().for_each(|v| sum.add(v));
        assert_eq!(sum.total(), 2.0);
    }

    #[test]
    fn has_a_mean_where_the_sum_overflows() {
        let mut mean = Mean::default();
        [1.5e308, 1.5e308, 1.5e308].into_iter().for_each(|v| mean.add(v));
        assert!((mean.total() - 1.5e308).abs() < 1e293);
        let mut infinite = Mean::default();
        [f64::INFINITY, 1.0].into_iter().for_each(|v| infinite.add(v));
        assert_eq!(infinite.total(), f64::INFINITY);
    }
}
