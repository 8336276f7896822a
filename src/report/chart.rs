//! Small charts as inline SVG.
//!
//! Made by hand: colours, fonts and dashes are left to the page's style sheet, so that one drawing serves light, dark and print,
//! which a plotting crate's fixed attributes do not allow. A chart is about as wide as a phone; a page puts several in a row.

use std::fmt::Write;

/// Width of a chart in its own units, which are pixels on a phone.
const WIDTH: f64 = 360.0;
/// Height of a line chart.
const HEIGHT: f64 = 212.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 40.0;
/// How many colours and shapes there are.
pub(super) const STYLES: usize = 6;
/// With more points than this, a line has no marks.
const MARKS: usize = 60;

/// Values by place on the horizontal axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    /// Its name; may be empty if it is the only one.
    pub(super) name: String,
    /// A value a place; none where nothing was measured.
    pub(super) values: Vec<Option<f64>>,
}

/// Lines over numbered or named places.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lines {
    /// What it shows, for those who cannot see it.
    pub(super) title: String,
    /// What the horizontal axis is.
    pub(super) axis: String,
    /// The places on it.
    pub(super) places: Vec<String>,
    pub(super) series: Vec<Series>,
}

/// Horizontal bars, a group of them a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bars {
    /// What it shows, for those who cannot see it.
    pub(super) title: String,
    /// The rows' names.
    pub(super) places: Vec<String>,
    pub(super) series: Vec<Series>,
}

/// Text that means nothing to XML.
pub(super) fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            // XML has no way to say most control characters.
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
        escaped
    })
}

/// Round values from `low` to `high`, about four of them, the outer two around all.
fn scale(low: f64, high: f64) -> Vec<f64> {
    // An axis that starts at zero, unless all values are close together far from it.
    let low = if low > 0.0 && low < 0.6 * high { 0.0 } else { low };
    // Values that are all the same are in the middle, or at the foot if they are zero.
    let room = if high > low { 0.0 } else { high.abs() * 0.1 };
    let high = if low == 0.0 && high <= 0.0 { 1.0 } else { high + room };
    let low = low - room;
    let raw = (high - low) / 4.0;
    let power = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|n| n * power).into_iter().find(|step| *step >= raw);
    let step = step.unwrap_or(10.0 * power);
    let first = (low / step).floor();
    let last = (high / step).ceil();
    let count = (last - first).clamp(1.0, 12.0) as usize;
    (0..=count).map(|n| (first + n as f64) * step).collect()
}

/// The values of an axis as short words with one unit.
fn labels(ticks: &[f64]) -> Vec<String> {
    let most = ticks.iter().fold(0.0_f64, |most, tick| most.max(tick.abs()));
    let (unit, suffix) = match most {
        most if most >= 1e9 => (1e9, "G"),
        most if most >= 1e6 => (1e6, "M"),
        most if most >= 1e4 => (1e3, "k"),
        _ => (1.0, ""),
    };
    let step = match ticks {
        [a, b, ..] => (b - a) / unit,
        _ => 1.0,
    };
    let fits = |digits: &usize| {
        let scaled = step * 10_f64.powi(i32::try_from(*digits).unwrap_or(0));
        (scaled - scaled.round()).abs() < 1e-6 * scaled.abs()
    };
    let digits = (0..6).find(fits).unwrap_or(6);
    ticks.iter().map(|tick| format!("{:.digits$}{suffix}", tick / unit)).collect()
}

/// A value in a few digits.
pub(super) fn short(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 1000.0 || size == 0.0 => 0,
        size if size >= 100.0 => 1,
        size if size >= 1.0 => 2,
        size if size >= 0.01 => 4,
        _ => 6,
    };
    grouped(&format!("{value:.digits$}"))
}

/// A number with thin spaces between its thousands.
pub(super) fn grouped(number: &str) -> String {
    let (sign, number) = match number.strip_prefix('-') {
        // What is rounded to zero has no sign.
        Some(number) if !number.contains(|c: char| ('1'..='9').contains(&c)) => ("", number),
        Some(number) => ("\u{2212}", number),
        None => ("", number),
    };
    let (whole, rest) = match number.split_once('.') {
        Some((whole, rest)) => (whole, format!(".{rest}")),
        None => (number, String::new()),
    };
    let length = whole.len();
    let spaced = whole.chars().enumerate().fold(String::new(), |mut spaced, (place, c)| {
        if length > 4 && place > 0 && (length - place) % 3 == 0 {
            spaced.push('\u{202f}');
        }
        spaced.push(c);
        spaced
    });
    format!("{sign}{spaced}{rest}")
}

/// A mark around a point: each style has a shape of its own, for print without colour.
fn mark(style: usize, x: f64, y: f64) -> String {
    match style % STYLES {
        0 => format!("M{:.1} {y:.1}a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z", x - 3.0),
        1 => format!("M{:.1} {:.1}h5.4v5.4h-5.4z", x - 2.7, y - 2.7),
        2 => format!("M{x:.1} {:.1}l3.6 6.4h-7.2z", y - 4.0),
        3 => format!("M{x:.1} {:.1}l3.8 3.8l-3.8 3.8l-3.8 -3.8z", y - 3.8),
        4 => format!("M{x:.1} {:.1}l3.6 -6.4h-7.2z", y + 4.0),
        _ => format!("M{:.1} {:.1}l6 6m0 -6l-6 6", x - 3.0, y - 3.0),
    }
}

/// The small drawing that stands for a series in a legend.
pub(super) fn swatch(style: usize) -> String {
    let class = style % STYLES;
    format!(
        "<svg class=\"swatch s{class}\" viewBox=\"0 0 26 12\" width=\"26\" height=\"12\" aria-hidden=\"true\">\
         <path class=\"line\" d=\"M1 6H25\"/><path class=\"mark\" d=\"{}\"/></svg>",
        mark(style, 13.0, 6.0)
    )
}

impl Lines {
    /// The chart; nothing if there is no value.
    pub(super) fn svg(&self) -> Option<String> {
        let values = || self.series.iter().flat_map(|series| series.values.iter().flatten());
        let low = values().copied().reduce(f64::min)?;
        let high = values().copied().reduce(f64::max)?;
        let ticks = scale(low, high);
        let (bottom, top) = (*ticks.first()?, *ticks.last()?);
        let y = |value: f64| {
            HEIGHT - BOTTOM - (value - bottom) / (top - bottom) * (HEIGHT - BOTTOM - TOP)
        };
        let count = self.places.len().max(1) as f64;
        let x = |place: usize| LEFT + (place as f64 + 0.5) / count * (WIDTH - LEFT - RIGHT);
        let mut svg = open(&self.title, HEIGHT);
        for (tick, label) in ticks.iter().zip(labels(&ticks)) {
            let (at, right) = (y(*tick), WIDTH - RIGHT);
            let _ = write!(
                svg,
                "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{right}\"/>\
                 <text class=\"y\" x=\"{:.1}\" y=\"{:.1}\">{label}</text>",
                LEFT - 6.0,
                at + 3.8
            );
        }
        self.horizontal(&mut svg, x);
        for (style, series) in self.series.iter().enumerate() {
            self.line(&mut svg, style, series, x, y);
        }
        svg += "</svg>";
        Some(svg)
    }

    /// The names below, as many as there is room for.
    fn horizontal(&self, svg: &mut String, x: impl Fn(usize) -> f64) {
        let longest = self.places.iter().map(|place| place.chars().count()).max().unwrap_or(1);
        let room = (WIDTH - LEFT - RIGHT) / (longest as f64 * 6.4 + 8.0);
        let every = (self.places.len() as f64 / room.max(1.0)).ceil().max(1.0) as usize;
        for (place, name) in self.places.iter().enumerate().step_by(every) {
            let (at, name) = (x(place), escape(name));
            let _ = write!(
                svg,
                "<text class=\"x\" x=\"{at:.1}\" y=\"{:.1}\">{name}</text>",
                HEIGHT - BOTTOM + 15.0
            );
        }
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        let _ = write!(
            svg,
            "<text class=\"axis\" x=\"{middle:.1}\" y=\"{:.1}\">{}</text>",
            HEIGHT - 5.0,
            escape(&self.axis)
        );
    }

    fn line(
        &self,
        svg: &mut String,
        style: usize,
        series: &Series,
        x: impl Fn(usize) -> f64,
        y: impl Fn(f64) -> f64,
    ) {
        let _ = write!(svg, "<g class=\"s{}\">", style % STYLES);
        let mut path = String::new();
        let mut pen = 'M';
        for (place, value) in series.values.iter().enumerate() {
            // A gap in the values is a gap in the line.
            match value {
                Some(value) => {
                    let _ = write!(path, "{pen}{:.1} {:.1}", x(place), y(*value));
                    pen = 'L';
                }
                None => pen = 'M',
            }
        }
        let _ = write!(svg, "<path class=\"line\" d=\"{path}\"/>");
        if series.values.len() <= MARKS {
            for (place, value) in series.values.iter().enumerate() {
                let Some(value) = value else { continue };
                let name = self.places.get(place).map_or("", String::as_str);
                let what = match series.name.as_str() {
                    "" => String::new(),
                    series => format!("{series}, "),
                };
                let title = escape(&format!("{what}{} {name}: {value}", self.axis));
                let mark = mark(style, x(place), y(*value));
                let _ =
                    write!(svg, "<path class=\"mark\" d=\"{mark}\"><title>{title}</title></path>");
            }
        }
        *svg += "</g>";
    }
}

impl Bars {
    /// The chart; nothing if there is no value.
    pub(super) fn svg(&self) -> Option<String> {
        let values = || self.series.iter().flat_map(|series| series.values.iter().flatten());
        let most = values().copied().reduce(f64::max)?;
        let room = WIDTH - 70.0;
        let width = |value: f64| if most > 0.0 { (value / most).max(0.0) * room } else { 0.0 };
        let (thick, gap) = if self.series.len() > 1 { (9.0, 12.0) } else { (11.0, 14.0) };
        let row = 15.0 + gap * self.series.len() as f64 + 6.0;
        let mut svg = open(&self.title, row * self.places.len() as f64);
        for (place, name) in self.places.iter().enumerate() {
            let top = row * place as f64;
            let _ = write!(
                svg,
                "<text class=\"row\" x=\"0\" y=\"{:.1}\">{}</text>",
                top + 11.0,
                escape(name)
            );
            for (style, series) in self.series.iter().enumerate() {
                let Some(Some(value)) = series.values.get(place) else { continue };
                let (at, long) = (top + 15.0 + gap * style as f64, width(*value).max(0.6));
                let _ = write!(
                    svg,
                    "<g class=\"s{}\"><rect class=\"bar\" x=\"0\" y=\"{at:.1}\" width=\"{long:.1}\" height=\"{thick}\">\
                     <title>{}</title></rect></g><text class=\"value\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                    style % STYLES,
                    escape(&format!("{} {name}: {value}", series.name)),
                    long + 5.0,
                    at + thick - 1.0,
                    short(*value)
                );
            }
        }
        svg += "</svg>";
        Some(svg)
    }
}

fn open(title: &str, height: f64) -> String {
    let title = escape(title);
    format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"{title}\">"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_axis_has_round_values() {
        assert_eq!(labels(&scale(0.0, 7.3)), ["0", "2", "4", "6", "8"]);
        assert_eq!(labels(&scale(1.31, 1.38)), ["1.30", "1.32", "1.34", "1.36", "1.38"]);
        assert_eq!(labels(&scale(120_000.0, 480_000.0)), ["0k", "200k", "400k", "600k"]);
        assert_eq!(labels(&scale(5.0, 5.0)), ["4.50", "4.75", "5.00", "5.25", "5.50"]);
        assert_eq!(labels(&scale(0.0, 0.0)), ["0.00", "0.25", "0.50", "0.75", "1.00"]);
    }

    #[test]
    fn numbers_are_grouped_and_names_are_escaped() {
        assert_eq!(short(1_234_567.0), "1\u{202f}234\u{202f}567");
        assert_eq!(short(-1234.0), "\u{2212}1234");
        assert_eq!(short(0.123_456), "0.1235");
        assert_eq!(escape("<a & 'b'>\u{1}"), "&lt;a &amp; &#39;b&#39;&gt; ");
    }

    proptest! {
        #[test]
        fn an_axis_holds_all_values(low in -1e9..1e9f64, span in 0.0..1e9f64) {
            let high = low + span;
            let ticks = scale(low, high);
            prop_assert!(ticks.len() >= 2 && ticks.len() <= 13);
            prop_assert!(ticks[0] <= low + 1e-6 * span.max(low.abs()) && high <= ticks[ticks.len() - 1] + 1e-6 * high.abs().max(1.0));
            prop_assert!(ticks.is_sorted());
        }
    }
}
