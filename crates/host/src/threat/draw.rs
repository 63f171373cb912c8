//! The picture: four lanes from the agent to the outside, the host's management below, one box for each plane.
//!
//! Everything is placed on a grid before it is drawn: lanes have fixed widths, boxes have as many lines as they need, flows
//! run in the gaps between lanes, and what they carry is said in the boxes and in one numbered list. So nothing overlaps.

use std::fmt::Write as _;

use claw_model::plane::Plane;

use super::diagram::{Diagram, Group};
use super::escape::xml;

/// A box with a title and lines.
struct Block {
    x: i32,
    y: i32,
    width: i32,
    title: String,
    lines: Vec<String>,
    class: &'static str,
}

impl Block {
    fn height(&self) -> i32 {
        let lines = i32::try_from(self.lines.len()).unwrap_or(0);
        TITLE + lines * LINE + if lines > 0 { 10 } else { 6 }
    }

    fn bottom(&self) -> i32 {
        self.y + self.height()
    }

    fn middle(&self) -> i32 {
        self.y + self.height() / 2
    }

    fn draw(&self, svg: &mut String) {
        let (x, y, width, height) = (self.x, self.y, self.width, self.height());
        let round = if self.class == "store" { 0 } else { 7 };
        let _ = writeln!(
            svg,
            "<rect class=\"box {}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{round}\"/>",
            self.class
        );
        if self.class == "store" {
            let _ = writeln!(svg, "<path class=\"edge\" d=\"M{} {y}v{height}\"/>", x + 7);
        }
        let left = x + if self.class == "store" { 18 } else { 12 };
        text(svg, "title", left, y + 21, &fit(&self.title, width - 26, 7.6));
        for (index, line) in (0i32..).zip(&self.lines) {
            text(svg, "line", left, y + TITLE + 12 + index * LINE, &fit(line, width - 26, 6.7));
        }
    }
}

pub(super) fn svg(title: &str, diagram: &Diagram) -> String {
    let groups: Vec<Block> = outside(diagram);
    let top = TOP + 34;
    let parts = Parts::of(diagram, top);
    let below = parts.inside_bottom + INSET + GAP;
    let notes = parts.below_bottom + INSET + 22;
    let left = notes + NOTES;
    let outer = groups.last().map_or(top, Block::bottom) + INSET;
    let bottom = left.max(outer);
    let mut body = String::new();
    let inside = parts.inside_bottom + INSET - TOP;
    for ((x, width), height, name, what) in [
        (LANES[0], inside, "WORKLOAD", "hostile"),
        (LANES[1], inside, "KERNEL", "trusted, enforces"),
        (LANES[2], inside, "RUNTIME", "trusted, no capabilities"),
    ] {
        lane(&mut body, (x, TOP, width, height), name, what);
    }
    let (x, width) = LANES[3];
    let end = groups.first().map_or(TOP, |block| block.bottom() + INSET);
    lane(&mut body, (x, TOP, width, end - TOP), "CONTROLLER", "believed only as far as its rule");
    let start = end + BETWEEN;
    lane(&mut body, (x, start, width, bottom - start), "INTERNET", "not trusted");
    let width = LANES[2].0 + LANES[2].1 - LANES[0].0;
    let height = parts.below_bottom + INSET - below;
    lane(
        &mut body,
        (LANES[0].0, below, width, height),
        "HOST MANAGEMENT",
        "trusted; each crossing is checked",
    );
    parts.flows(&mut body, &groups);
    for block in parts.all().into_iter().chain(&groups) {
        block.draw(&mut body);
    }
    parts.numbers(&mut body);
    legend(&mut body, diagram, (LANES[0].0, notes, width));
    let total = bottom + 20;
    let name = fit(title, WIDTH - 420, 11.5);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{total}\" viewBox=\"0 0 {WIDTH} {total}\" role=\"img\" aria-label=\"Data-flow diagram\">\n<style>{STYLE}</style>\n<defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto-start-reverse\"><path class=\"head\" d=\"M0 0L8 4L0 8z\"/></marker></defs>\n<rect class=\"ground\" width=\"{WIDTH}\" height=\"{total}\"/>\n<text class=\"name\" x=\"20\" y=\"34\">{}</text>\n<text class=\"line\" x=\"{}\" y=\"34\" text-anchor=\"end\">dashed: trust boundaries</text>\n{body}</svg>\n",
        xml(&name),
        WIDTH - 20
    )
}

/// What every deployment has, and where it stands.
struct Parts {
    agent: Block,
    init: Block,
    kernel: Block,
    gate: Block,
    supervisor: Block,
    workspace: Block,
    firewall: Block,
    policy: Block,
    ledger: Block,
    operator: Block,
    /// Where the lanes of the sandbox and the runtime end.
    inside_bottom: i32,
    below_bottom: i32,
}

impl Parts {
    fn of(diagram: &Diagram, top: i32) -> Parts {
        let block = |lane: usize, y: i32, title: &str, lines: &[&str], class| {
            let (x, width) = LANES.get(lane).copied().unwrap_or_default();
            let lines = lines.iter().map(|line| (*line).to_owned()).collect();
            Block { x: x + INSET, y, width: width - 2 * INSET, title: title.to_owned(), lines, class }
        };
        let agent = block(
            0,
            top,
            "agent",
            &["and all it starts", "no capabilities", "sees only listed files"],
            "process",
        );
        let init =
            block(0, agent.bottom() + 46, "init", &["process 1 inside", "reaps, passes signals"], "process");
        let kernel = block(
            1,
            top,
            "walls",
            &[
                "own namespaces: lo only",
                "nf_tables: live pairs only",
                "Landlock, seccomp",
                "read-only mounts",
                "control groups",
            ],
            "wall",
        );
        let mut gate = block(
            2,
            top,
            "gate",
            &[
                "answers DNS itself",
                "decides by the policy",
                "dials by name, with a permit",
                "writes before it acts",
            ],
            "process",
        );
        if diagram.ends_tls {
            gate.lines.push("ends TLS where requests are named".to_owned());
        }
        if diagram.brokered {
            gate.lines.push("hands sockets in (brokered)".to_owned());
        }
        let supervisor = block(
            2,
            gate.bottom() + 46,
            "supervisor",
            &["builds, then confines itself", "swaps policy and phase"],
            "process",
        );
        let inside_bottom = supervisor.bottom().max(kernel.bottom()).max(init.bottom());
        let below = inside_bottom + INSET + GAP + 34;
        let mut workspace = block(0, below, "workspace", &[], "store");
        workspace.lines = match diagram.writable.as_slice() {
            [] => vec!["nothing is writable".to_owned()],
            paths => some(paths.iter().map(|path| format!("writable {path}")).collect(), 3),
        };
        let mut firewall = block(1, below, "host firewall and audit", &[], "wall");
        match &diagram.firewall {
            Some(lines) => firewall.lines.extend(lines.iter().cloned()),
            None => firewall.lines.push("no zones given".to_owned()),
        }
        firewall.lines.push(match diagram.findings {
            Some((0, 0)) => "audit: no findings".to_owned(),
            Some((found, unknown)) => format!("audit: {found} not so, {unknown} unknown"),
            None => "no audit given".to_owned(),
        });
        let (x, width) = LANES[2];
        let half = (width - 3 * INSET) / 2;
        let mut policy = block(2, below, "policy", &[], "store");
        policy.lines = vec![tail(&diagram.policy, half - 26), "fixed inside".to_owned()];
        policy.width = half;
        let mut ledger = block(2, below, "ledger", &["hash chain", "not seen inside"], "store");
        (ledger.x, ledger.width) = (x + 2 * INSET + half, half);
        let mut operator = block(
            0,
            below,
            "operator",
            &["writes, accepts policies", "starts, orders, reads", "keeps the ledger's head"],
            "person",
        );
        // its flow to the policy runs below the firewall
        operator.y = (workspace.bottom() + 12).max(firewall.bottom() - 30);
        let bottoms = [&workspace, &firewall, &policy, &ledger, &operator].map(Block::bottom);
        let below_bottom = bottoms.into_iter().max().unwrap_or(below);
        Parts {
            agent,
            init,
            kernel,
            gate,
            supervisor,
            workspace,
            firewall,
            policy,
            ledger,
            operator,
            inside_bottom,
            below_bottom,
        }
    }

    fn all(&self) -> [&Block; 10] {
        [
            &self.agent,
            &self.init,
            &self.kernel,
            &self.gate,
            &self.supervisor,
            &self.workspace,
            &self.firewall,
            &self.policy,
            &self.ledger,
            &self.operator,
        ]
    }

    fn flows(&self, svg: &mut String, groups: &[Block]) {
        let mut edge = |path: String| {
            let _ = writeln!(svg, "<path class=\"flow\" marker-end=\"url(#arrow)\" d=\"{path}\"/>");
        };
        let right = |block: &Block| block.x + block.width;
        let across = |y: i32, from: &Block, to: &Block| format!("M{} {y}H{}", right(from), to.x);
        edge(across(self.agent.y + 40, &self.agent, &self.kernel));
        edge(across(self.agent.y + 40, &self.kernel, &self.gate));
        edge(format!("M{} {}H{}", self.gate.x, self.agent.y + 72, right(&self.kernel)));
        edge(format!("M{} {}V{}", self.init.x + 60, self.init.y, self.agent.bottom()));
        edge(format!("M{} {}V{}", self.supervisor.x + 60, self.supervisor.y, self.gate.bottom()));
        edge(across(self.init.middle(), &self.init, &self.supervisor));
        edge(format!("M{} {}H{}", self.supervisor.x, self.init.middle() + 16, right(&self.init)));
        edge(format!("M{} {}V{}", self.policy.x + 60, self.policy.y, self.supervisor.bottom()));
        let y = self.operator.y + 50;
        edge(format!("M{} {y}H{}V{}", right(&self.operator), self.policy.x + 60, self.policy.bottom()));
        // the gate's records go round the supervisor, files through the kernel
        edge(format!("M{} {}h8V{}h-8", right(&self.gate), self.gate.bottom() - 14, self.ledger.middle()));
        let (x, y) = (self.kernel.x + 40, self.inside_bottom + INSET + GAP / 2);
        let (store, into) = (self.workspace.x, self.workspace.middle());
        edge(format!("M{x} {}V{y}H{}V{into}H{store}", self.kernel.bottom(), store - 8));
        let bus = LANES[3].0 - GAP / 2;
        let start = self.gate.y + 40;
        for group in groups.iter().filter(|group| group.class != ABSENT) {
            let y = group.y + 16;
            let path = if y == start {
                format!("M{} {start}H{}", right(&self.gate), group.x)
            } else {
                format!("M{} {start}H{bus}V{y}H{}", right(&self.gate), group.x)
            };
            edge(path);
        }
    }

    /// What each flow carries stands in the list below; the number stands on the flow, in a gap.
    fn numbers(&self, svg: &mut String) {
        let gap = |left: usize| LANES.get(left).map_or(0, |(x, width)| x + width) + GAP / 2;
        let between = self.inside_bottom + INSET + GAP / 2;
        let spots = [
            (gap(0), self.agent.y + 40, "1"),
            (gap(1), self.agent.y + 40, "2"),
            (gap(1), self.agent.y + 72, "3"),
            (gap(2), self.gate.y + 40, "4"),
            (self.init.x + 60, self.init.y - 23, "5"),
            (gap(0), self.init.middle() + 8, "6"),
            (self.policy.x + 60, between, "7"),
            (self.ledger.x + self.ledger.width + 8, between, "8"),
            (self.kernel.x + 40, between, "9"),
            (self.policy.x - 36, self.operator.y + 50, "11"),
            (self.supervisor.x + 60, self.supervisor.y - 23, "10"),
        ];
        for (x, y, number) in spots {
            let _ = writeln!(
                svg,
                "<circle class=\"dot\" cx=\"{x}\" cy=\"{y}\" r=\"10\"/><text class=\"number\" x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{number}</text>",
                y + 4
            );
        }
    }
}

fn has_controller(diagram: &Diagram) -> bool {
    diagram.groups.first().is_some_and(|group| group.plane == Plane::Control)
}

/// One box for each plane, and the name servers.
fn outside(diagram: &Diagram) -> Vec<Block> {
    let (x, width) = LANES[3];
    let mut y = TOP + 34;
    let mut blocks = Vec::new();
    let mut put = |title: String, lines: Vec<String>, class| {
        let block = Block { x: x + INSET, y, width: width - 2 * INSET, title, lines, class };
        y = block.bottom() + 12;
        // the first is the controller's, behind a boundary of its own
        if blocks.is_empty() {
            y = block.bottom() + INSET + BETWEEN + 34;
        }
        blocks.push(block);
    };
    if !has_controller(diagram) {
        put("no controller".to_owned(), vec!["no rule of the control plane".to_owned()], ABSENT);
    }
    let most = if diagram.groups.len() > 4 { FEWER_LINES } else { MOST_LINES };
    for group in &diagram.groups {
        let count = group.hosts.len();
        let noun = if count == 1 { "destination" } else { "destinations" };
        put(format!("{} · {count} {noun}", group.plane), hosts(group, most), "outside");
    }
    if diagram.resolves {
        put(
            "name servers of the host".to_owned(),
            vec!["asked by the gate for permitted names, DNS 53".to_owned()],
            "outside",
        );
    }
    if diagram.groups.is_empty() {
        put("nothing".to_owned(), vec!["no rule opens anything: nothing leaves".to_owned()], ABSENT);
    }
    blocks
}

/// A line for each destination: columns, so that the eye can run down. A long one has a line of its own while there is room.
fn hosts(group: &Group, most: usize) -> Vec<String> {
    let long = |text: &str| text.chars().count() > COLUMN;
    let lines = group.hosts.len() + group.hosts.iter().filter(|host| long(&host.destination)).count();
    let whole = lines <= most;
    let mut all = Vec::new();
    for host in &group.hosts {
        let mut destination = middle(&host.destination, COLUMN);
        if whole && long(&host.destination) {
            all.push(middle(&host.destination, LINE_WIDE));
            destination = String::new();
        }
        all.push(format!(
            "{destination:<COLUMN$} {:<9} {:<7} {}",
            host.protocol, host.assurance, host.phases
        ));
    }
    some(all, most)
}

/// So many lines, and how many more there are.
fn some(mut lines: Vec<String>, most: usize) -> Vec<String> {
    if lines.len() > most {
        let more = lines.len() - (most - 1);
        lines.truncate(most - 1);
        lines.push(format!("… and {more} more"));
    }
    lines
}

fn lane(svg: &mut String, (x, y, width, height): (i32, i32, i32, i32), name: &str, what: &str) {
    let _ = writeln!(
        svg,
        "<rect class=\"lane\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"10\"/>"
    );
    let _ = writeln!(
        svg,
        "<text class=\"zone\" x=\"{}\" y=\"{}\">{name}<tspan class=\"what\" dx=\"8\">{what}</tspan></text>",
        x + INSET,
        y + 22
    );
}

fn legend(svg: &mut String, diagram: &Diagram, (x, top, width): (i32, i32, i32)) {
    let closed = match diagram.closed {
        0 => "no deny rules".to_owned(),
        1 => "1 rule closes, whatever opens".to_owned(),
        count => format!("{count} rules close, whatever opens"),
    };
    let columns: [&[&str]; 2] = [
        &[
            " 1  DNS questions; connections to virtual addresses",
            " 2  what a live pair permits; the rest is refused, logged",
            " 3  answers, resets, refusals that say why",
            " 4  dialled by name, with a permit; nothing else leaves",
            " 5  starts, signals",
            " 6  reports and orders, over one channel",
        ],
        &[
            " 7  read once, then only as it was accepted",
            " 8  each decision, before it takes effect",
            " 9  files, as far as listed",
            "10  policy and phase",
            "11  the policy, by its owner",
        ],
    ];
    let _ = writeln!(
        svg,
        "<rect class=\"note\" x=\"{x}\" y=\"{top}\" width=\"{width}\" height=\"{NOTES}\" rx=\"10\"/>"
    );
    text(svg, "title", x + INSET, top + 22, &format!("flows · {closed}"));
    for (column, lines) in (0i32..).zip(columns) {
        for (index, line) in (0i32..).zip(lines) {
            text(svg, "line", x + INSET + column * width / 2, top + 44 + index * LINE, line);
        }
    }
}

fn text(svg: &mut String, class: &str, x: i32, y: i32, content: &str) {
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" xml:space=\"preserve\">{}</text>",
        xml(content)
    );
}

/// As much of the text as fits, by the width of a character.
fn fit(text: &str, width: i32, character: f64) -> String {
    let most = (f64::from(width) / character).floor();
    // bounded by the picture's width: a few hundred
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
    let most = most.max(1.0) as usize;
    cut(text, most)
}

fn cut(text: &str, most: usize) -> String {
    // wide characters take the place of two
    let wide = |c: char| if matches!(u32::from(c), 0x1100..=0x115f | 0x2e80..) { 2 } else { 1 };
    let mut room = most;
    let whole: usize = text.chars().map(wide).sum();
    if whole <= most {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        let takes = wide(c);
        if takes + 1 > room {
            break;
        }
        room -= takes;
        kept.push(c);
    }
    kept.push('…');
    kept
}

/// The beginning and the end of a destination: its port counts as much as its host.
fn middle(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let end: String = text.chars().skip(count - most / 2).collect();
    let start: String = text.chars().take(most - most / 2 - 1).collect();
    format!("{start}…{end}")
}

/// The end of a path says more than its beginning.
fn tail(path: &str, width: i32) -> String {
    let most = usize::try_from(width / 7).unwrap_or(20).max(8);
    let count = path.chars().count();
    if count <= most {
        return path.to_owned();
    }
    let kept: String = path.chars().skip(count - (most - 1)).collect();
    format!("…{kept}")
}

/// A box that no flow reaches.
const ABSENT: &str = "absent";
/// Lanes from left to right: place and width.
const LANES: [(i32, i32); 4] = [(20, 226), (282, 268), (586, 306), (928, 546)];
const WIDTH: i32 = 1494;
const TOP: i32 = 54;
const GAP: i32 = 36;
const INSET: i32 = 14;
/// Between the controller's lane and the internet's.
const BETWEEN: i32 = 14;
const TITLE: i32 = 30;
const LINE: i32 = 16;
/// Height of the list of flows.
const NOTES: i32 = 138;
/// Characters of a destination in its column, and of one on a line of its own.
const COLUMN: usize = 43;
const LINE_WIDE: usize = 74;
/// Destinations of a plane that are drawn.
const MOST_LINES: usize = 9;
/// The same where there are many planes.
const FEWER_LINES: usize = 5;

const STYLE: &str = "\
text{font-family:ui-sans-serif,system-ui,'DejaVu Sans',sans-serif;fill:#1c2430}\
.line{font:11px ui-monospace,'DejaVu Sans Mono',monospace;fill:#465164}\
.title{font-size:13px;font-weight:600}\
.name{font-size:19px;font-weight:700}\
.zone{font-size:12px;font-weight:700;letter-spacing:.06em}\
.what{font-weight:400;letter-spacing:0;fill:#5b677a}\
.number{font-size:11px;font-weight:700;fill:#fff}\
.ground{fill:#fff}\
.lane{fill:#f4f6f9;stroke:#8a96a8;stroke-width:1.4;stroke-dasharray:7 5}\
.note{fill:none;stroke:#c9d0da}\
.box{fill:#fff;stroke:#5b677a;stroke-width:1.2}\
.wall{fill:#e3eefc;stroke:#2f6db5}\
.process{fill:#fff}\
.store{fill:#f8f3e2;stroke:#97803a}\
.outside{fill:#fdeceb;stroke:#b8483f}\
.absent{fill:none;stroke:#8a96a8;stroke-dasharray:2 4}\
.edge{stroke:#97803a;fill:none}\
.flow{stroke:#39465a;stroke-width:1.5;fill:none}\
.head{fill:#39465a}\
.dot{fill:#39465a}\
@media (prefers-color-scheme:dark){\
text{fill:#e8ecf2}.line{fill:#b6c0cf}.what{fill:#9aa6b8}.number{fill:#10151d}.ground{fill:#10151d}\
.lane{fill:#171e29;stroke:#6b788c}.note{stroke:#3a4657}.box{fill:#1f2836;stroke:#8491a5}\
.wall{fill:#15304f;stroke:#5d9be6}.process{fill:#1f2836}.store{fill:#322c17;stroke:#c0a85c}\
.outside{fill:#3b1d1b;stroke:#e2766c}.edge{stroke:#c0a85c}.flow{stroke:#b6c0cf}.head{fill:#b6c0cf}.dot{fill:#b6c0cf}}";
