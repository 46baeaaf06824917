//! Prometheus's text format, version 0.0.4: samples of the table's metrics, each with its HELP and TYPE.
//!
//! Not here: which metrics there are (`table`).

use super::table::METRICS;

/// An answer in the making.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    /// The number of its metric in the table, and the line.
    samples: Vec<(usize, String)>,
}

impl Exposition {
    /// Adds a sample; `labels` are the values of the labels that the table names.
    pub(super) fn put(&mut self, name: &'static str, labels: &[&str], value: f64) {
        let fits = |metric: &super::Metric| metric.name == name;
        let Some(index) = METRICS.iter().position(fits) else {
            debug_assert!(false, "{name} is not in the table");
            return;
        };
        let names = METRICS[index].labels;
        debug_assert_eq!(names.len(), labels.len(), "labels of {name}");
        let pairs = names.iter().zip(labels);
        let pairs: Vec<String> = pairs
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        let labels = match pairs.as_slice() {
            [] => String::new(),
            pairs => format!("{{{}}}", pairs.join(",")),
        };
        self.samples
            .push((index, format!("{name}{labels} {value}\n")));
    }

    /// The same, of what may not be known.
    pub(super) fn put_known(&mut self, name: &'static str, labels: &[&str], value: Option<f64>) {
        if let Some(value) = value {
            self.put(name, labels, value);
        }
    }

    /// A sample for each word: 1 for the one that holds.
    pub(super) fn put_one_of(&mut self, name: &'static str, words: &[&str], holds: &str) {
        for word in words {
            self.put(name, &[word], f64::from(u8::from(*word == holds)));
        }
    }

    /// A sample for each count, and 0 for each of the words that has none.
    pub(super) fn put_counts<'a>(
        &mut self,
        name: &'static str,
        words: &[&str],
        counts: impl IntoIterator<Item = (&'a str, i64)>,
    ) {
        let mut missing: Vec<&str> = words.to_vec();
        for (word, count) in counts {
            missing.retain(|other| *other != word);
            self.put(name, &[word], count as f64);
        }
        for word in missing {
            self.put(name, &[word], 0.0);
        }
    }

    /// The answer, in the table's order. A metric without a sample is left out.
    pub(super) fn text(mut self) -> String {
        self.samples.sort_by_key(|(index, _)| *index);
        let (mut lines, mut told) = (Vec::new(), None);
        for (index, line) in self.samples {
            if told != Some(index) {
                let metric = &METRICS[index];
                let (name, kind) = (metric.name, metric.kind.as_str());
                let help = metric.help.replace('\\', "\\\\").replace('\n', "\\n");
                lines.push(format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
                told = Some(index);
            }
            lines.push(line);
        }
        lines.concat()
    }
}

/// A label's value as it stands between quotes.
fn escaped(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    value.replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_stand_below_their_help_in_the_tables_order() {
        let mut made = Exposition::default();
        made.put_counts(
            "tiki_run_rejections",
            &["no-id", "no-name"],
            [("no-name", 3)],
        );
        made.put("tiki_up", &[], 1.0);
        made.put_known("tiki_runs_held", &[], None);
        made.put_one_of("tiki_breaker_state", &["closed", "open"], "open");
        made.put("tiki_disk_free_bytes", &[], 1.5e12);
        let text = made.text();
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with("# HELP"))
            .collect();
        assert_eq!(
            lines,
            [
                "# TYPE tiki_up gauge",
                "tiki_up 1",
                "# TYPE tiki_disk_free_bytes gauge",
                "tiki_disk_free_bytes 1500000000000",
                "# TYPE tiki_breaker_state gauge",
                "tiki_breaker_state{state=\"closed\"} 0",
                "tiki_breaker_state{state=\"open\"} 1",
                "# TYPE tiki_run_rejections gauge",
                "tiki_run_rejections{reason=\"no-name\"} 3",
                "tiki_run_rejections{reason=\"no-id\"} 0",
            ]
        );
        assert_eq!(text.matches("# HELP").count(), 4);
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn a_label_is_escaped() {
        assert_eq!(escaped("a\\b\"c\nd"), "a\\\\b\\\"c\\nd");
        let mut made = Exposition::default();
        made.put("tiki_build_info", &["1\"} 2\ntiki_up 0"], 1.0);
        let text = made.text();
        let line = "tiki_build_info{version=\"1\\\"} 2\\ntiki_up 0\"} 1";
        assert_eq!(text.lines().nth(2), Some(line));
        assert_eq!(text.lines().count(), 3);
    }
}
