//! The routing tree: which receiver hears of an alert, and in which rhythm.
//!
//! In: a [`RouteSpec`], as the user wrote it. Out: a [`RouteTree`] whose nodes have every value filled in, and for an alert
//! the nodes that match. Not here: groups and their timers (`group`), sending.
//! Start at [`RouteTree::matching`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use model::{Labels, Matcher};

use crate::Few;
use crate::{MatcherMode, matchers_text, sort_matchers};

/// By which labels alerts are grouped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// By all labels: each alert is a group of its own. Written `['...']`.
    All,
    /// By these; possibly by none.
    Labels(BTreeSet<String>),
}

impl GroupBy {
    /// From the list as it is written; `...` alone means all labels.
    pub fn parse<S: AsRef<str>>(names: &[S], mode: MatcherMode) -> Result<Self, String> {
        if !names.is_empty() && names.iter().all(|name| name.as_ref() == "...") {
            return Ok(GroupBy::All);
        }
        let mut labels = BTreeSet::new();
        for name in names.iter().map(AsRef::as_ref) {
            match name {
                "..." => return Err("`...` groups by all labels; remove it or the other names".to_owned()),
                _ if !mode.is_label_name(name) => return Err(format!("`{name}` is not a label name")),
                _ if !labels.insert(name.to_owned()) => return Err(format!("`{name}` is given twice")),
                _ => {}
            }
        }
        Ok(GroupBy::Labels(labels))
    }

    /// The labels of the group that an alert with `labels` belongs to.
    pub fn group_labels(&self, labels: &Labels) -> Labels {
        match self {
            GroupBy::All => labels.clone(),
            GroupBy::Labels(names) => labels.filter(|name| names.contains(name)),
        }
    }
}

/// A route as it is written: `None` takes the parent's value.
#[derive(Clone, Debug, Default)]
pub struct RouteSpec {
    /// Who is told.
    pub receiver: Option<String>,
    /// All must match; those of `match` and `match_re` included (see [`crate::match_re`]). Any order.
    pub matchers: Vec<Matcher>,
    /// Grouping labels; `Some(GroupBy::Labels([]))` takes back the parent's.
    pub group_by: Option<GroupBy>,
    /// Whether siblings below are tried after this one matched.
    pub continue_matching: bool,
    /// How long a new group gathers alerts.
    pub group_wait: Option<Duration>,
    /// The rhythm of a group after its first flush.
    pub group_interval: Option<Duration>,
    /// After how long a group that did not change is told again.
    pub repeat_interval: Option<Duration>,
    /// Names of time intervals during which nothing is sent. Not inherited.
    pub mute_time_intervals: Vec<String>,
    /// Names of time intervals outside which nothing is sent. Not inherited.
    pub active_time_intervals: Vec<String>,
    /// Labels for messages; inherited and overridden one by one.
    pub labels: BTreeMap<String, String>,
    /// Children, in the order in which they are tried.
    pub routes: Vec<RouteSpec>,
}

/// Handle of a route inside one tree. Means nothing in another tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(pub(crate) u32);

/// A node of the tree with every value filled in.
#[derive(Clone, Debug)]
pub struct Route {
    /// Who is told.
    pub receiver: Arc<str>,
    /// Sorted by name, pattern and operator.
    pub matchers: Vec<Matcher>,
    /// Grouping labels.
    pub group_by: GroupBy,
    /// Whether siblings below are tried after this one matched.
    pub continue_matching: bool,
    /// How long a new group gathers alerts.
    pub group_wait: Duration,
    /// The rhythm of a group after its first flush.
    pub group_interval: Duration,
    /// After how long a group that did not change is told again.
    pub repeat_interval: Duration,
    /// Names of time intervals during which nothing is sent.
    pub mute_time_intervals: Vec<String>,
    /// Names of time intervals outside which nothing is sent.
    pub active_time_intervals: Vec<String>,
    /// Labels for messages; values may be templates.
    pub labels: Labels,
    /// The part of a group key in front of the colon: `{}/{severity="page"}`. The same for identical siblings.
    pub key: String,
    /// Alertmanager's id of the route: `{}/{severity="page"}/0`, with positions among all siblings.
    pub id: String,
    /// Like [`Route::key`], but different for identical siblings, and unchanged when other siblings come or go. What
    /// groups are known by across reloads and restarts.
    pub identity: String,
    /// Positions from the root: `[2, 0]` is `routes[2].routes[0]`.
    pub path: Vec<usize>,
    children: Vec<RouteId>,
}

/// A checked routing tree.
#[derive(Clone, Debug)]
pub struct RouteTree {
    nodes: Vec<Route>,
}

/// What is wrong with a route, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteProblem {
    /// Positions from the root: `[2, 0]` is `routes[2].routes[0]`.
    pub path: Vec<usize>,
    /// The key in the file.
    pub field: &'static str,
    /// What is wrong and what to do.
    pub what: String,
}

const GROUP_WAIT: Duration = Duration::from_secs(30);
const GROUP_INTERVAL: Duration = Duration::from_secs(5 * 60);
const REPEAT_INTERVAL: Duration = Duration::from_secs(4 * 3600);

impl RouteTree {
    /// Fills in inherited values and defaults. Says everything that is wrong with the tree by itself; whether its
    /// receivers and time intervals exist is checked by [`crate::AlertingConfig::check`].
    pub fn check(spec: &RouteSpec) -> Result<Self, Vec<RouteProblem>> {
        let mut problems = Vec::new();
        check_root(spec, &mut problems);
        check_intervals(spec, &mut Vec::new(), &mut problems);
        if problems.is_empty() { Ok(RouteTree::build(spec)) } else { Err(problems) }
    }

    /// As [`RouteTree::check`], without looking for problems.
    pub fn build(spec: &RouteSpec) -> Self {
        let root = Route {
            receiver: Arc::default(),
            matchers: Vec::new(),
            group_by: GroupBy::Labels(BTreeSet::new()),
            continue_matching: false,
            group_wait: GROUP_WAIT,
            group_interval: GROUP_INTERVAL,
            repeat_interval: REPEAT_INTERVAL,
            mute_time_intervals: Vec::new(),
            active_time_intervals: Vec::new(),
            labels: Labels::empty(),
            key: String::new(),
            id: String::new(),
            identity: String::new(),
            path: Vec::new(),
            children: Vec::new(),
        };
        let mut tree = RouteTree { nodes: Vec::new() };
        let mut node = inherit(&root, spec);
        let text = matchers_text(&node.matchers);
        (node.key, node.id, node.identity) = (text.clone(), text.clone(), text);
        tree.add(node, spec);
        tree
    }

    fn add(&mut self, node: Route, spec: &RouteSpec) -> RouteId {
        let id = RouteId(self.nodes.len() as u32);
        self.nodes.push(node);
        // How many siblings with the same matchers came before.
        let mut seen: HashMap<String, usize> = HashMap::new();
        for (position, child_spec) in spec.routes.iter().enumerate() {
            let parent = &self.nodes[id.0 as usize];
            let mut child = inherit(parent, child_spec);
            let text = matchers_text(&child.matchers);
            let twin = seen.entry(text.clone()).or_default();
            child.key = format!("{}/{text}", parent.key);
            child.id = format!("{}/{text}/{position}", parent.id);
            child.identity = match *twin {
                0 => format!("{}/{text}", parent.identity),
                n => format!("{}/{text}#{n}", parent.identity),
            };
            *twin += 1;
            child.path = parent.path.iter().copied().chain([position]).collect();
            let child_id = self.add(child, child_spec);
            self.nodes[id.0 as usize].children.push(child_id);
        }
        id
    }

    /// The root.
    pub fn root(&self) -> &Route {
        &self.nodes[0]
    }

    /// A node.
    pub fn route(&self, id: RouteId) -> &Route {
        &self.nodes[id.0 as usize]
    }

    /// Children of a node, in the order in which they are tried.
    pub fn children(&self, id: RouteId) -> &[RouteId] {
        &self.nodes[id.0 as usize].children
    }

    /// All nodes, depth first.
    pub fn iter(&self) -> impl Iterator<Item = (RouteId, &Route)> {
        self.nodes.iter().enumerate().map(|(position, route)| (RouteId(position as u32), route))
    }

    /// The nodes that hear of an alert with `labels`, in order. A node whose children match is not among them; if none
    /// matches, the node itself is. At least the root, unless it has matchers.
    pub fn matching(&self, labels: &Labels) -> Few<RouteId> {
        let mut found = Few::new();
        self.collect(RouteId(0), labels, &mut found);
        found
    }

    fn collect(&self, id: RouteId, labels: &Labels, found: &mut Few<RouteId>) -> bool {
        let route = self.route(id);
        if !route.matchers.iter().all(|matcher| matcher.matches_labels(labels)) {
            return false;
        }
        let before = found.len();
        for child in &route.children {
            if self.collect(*child, labels, found) && !self.route(*child).continue_matching {
                break;
            }
        }
        if found.len() == before {
            found.push(id);
        }
        true
    }
}

fn inherit(parent: &Route, spec: &RouteSpec) -> Route {
    let mut matchers = spec.matchers.clone();
    sort_matchers(&mut matchers);
    let own = spec.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let labels = Labels::from_pairs(parent.labels.iter().chain(own));
    Route {
        receiver: spec.receiver.as_deref().map_or_else(|| parent.receiver.clone(), Arc::from),
        matchers,
        group_by: spec.group_by.clone().unwrap_or_else(|| parent.group_by.clone()),
        continue_matching: spec.continue_matching,
        group_wait: spec.group_wait.unwrap_or(parent.group_wait),
        group_interval: spec.group_interval.unwrap_or(parent.group_interval),
        repeat_interval: spec.repeat_interval.unwrap_or(parent.repeat_interval),
        mute_time_intervals: spec.mute_time_intervals.clone(),
        active_time_intervals: spec.active_time_intervals.clone(),
        labels,
        key: String::new(),
        id: String::new(),
        identity: String::new(),
        path: Vec::new(),
        children: Vec::new(),
    }
}

fn check_root(spec: &RouteSpec, problems: &mut Vec<RouteProblem>) {
    let mut problem = |field, what: &str| {
        problems.push(RouteProblem { path: Vec::new(), field, what: what.to_owned() });
    };
    if spec.receiver.as_deref().unwrap_or_default().is_empty() {
        problem(
            "receiver",
            "the root route needs a receiver: it hears of every alert that no other route takes",
        );
    }
    if !spec.matchers.is_empty() {
        problem("matchers", "the root route takes every alert; move the matchers to a route below it");
    }
    if spec.continue_matching {
        problem("continue", "the root route has no siblings to continue with; remove `continue`");
    }
    if !spec.mute_time_intervals.is_empty() {
        problem(
            "mute_time_intervals",
            "the root route cannot be muted; put the intervals on a route below it",
        );
    }
    if !spec.active_time_intervals.is_empty() {
        problem(
            "active_time_intervals",
            "the root route is always active; put the intervals on a route below it",
        );
    }
}

fn check_intervals(spec: &RouteSpec, path: &mut Vec<usize>, problems: &mut Vec<RouteProblem>) {
    for (field, value) in [("group_interval", spec.group_interval), ("repeat_interval", spec.repeat_interval)]
    {
        if value == Some(Duration::ZERO) {
            problems.push(RouteProblem {
                path: path.clone(),
                field,
                what: format!("{field} cannot be zero"),
            });
        }
    }
    for (position, child) in spec.routes.iter().enumerate() {
        path.push(position);
        check_intervals(child, path, problems);
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_matchers;

    fn route(receiver: &str, matchers: &str, routes: Vec<RouteSpec>) -> RouteSpec {
        RouteSpec {
            receiver: Some(receiver.to_owned()).filter(|name| !name.is_empty()),
            matchers: parse_matchers(matchers, MatcherMode::Fallback).unwrap(),
            routes,
            ..Default::default()
        }
    }

    fn receivers(tree: &RouteTree, labels: Labels) -> Vec<&str> {
        tree.matching(&labels).into_iter().map(|id| &*tree.route(id).receiver).collect()
    }

    #[test]
    fn goes_to_the_deepest_match_and_continues_where_asked() {
        let mut first = route("audit", "team=db", vec![]);
        first.continue_matching = true;
        let spec = route(
            "default",
            "",
            vec![
                first,
                route("db", "team=db", vec![route("", "env=test", vec![])]),
                route("last", "", vec![]),
            ],
        );
        let tree = RouteTree::check(&spec).unwrap();
        for (labels, expected) in [
            (Labels::from([("team", "db")]), vec!["audit", "db"]),
            (Labels::from([("team", "db"), ("env", "test")]), vec!["audit", "db"]),
            (Labels::from([("team", "web")]), vec!["last"]),
        ] {
            assert_eq!(receivers(&tree, labels.clone()), expected, "{labels}");
        }
        assert_eq!(
            tree.iter().map(|(_, r)| &*r.receiver).collect::<Vec<_>>(),
            ["default", "audit", "db", "db", "last"]
        );
    }

    #[test]
    fn inherits_all_but_time_intervals() {
        let mut child = route("", "a=b", vec![]);
        child.group_by = Some(GroupBy::Labels(BTreeSet::new()));
        child.labels = BTreeMap::from([("b".into(), "child".into())]);
        let mut parent = route("p", "x=y", vec![child]);
        parent.group_by = Some(GroupBy::parse(&["job"], MatcherMode::Fallback).unwrap());
        parent.group_wait = Some(Duration::from_secs(1));
        parent.mute_time_intervals = vec!["night".into()];
        parent.labels = BTreeMap::from([("a".into(), "1".into()), ("b".into(), "2".into())]);
        let tree = RouteTree::check(&route("root", "", vec![parent])).unwrap();
        let labels = Labels::from([("x", "y"), ("a", "b"), ("job", "j")]);
        let id = tree.matching(&labels)[0];
        let route = tree.route(id);
        assert_eq!(route.path, [0, 0]);
        assert_eq!((&*route.receiver, route.group_wait), ("p", Duration::from_secs(1)));
        assert_eq!(route.group_by.group_labels(&labels), Labels::empty());
        assert!(route.mute_time_intervals.is_empty());
        assert_eq!(route.labels.value("a"), "1");
        assert_eq!(route.labels.value("b"), "child");
        assert_eq!(route.repeat_interval, REPEAT_INTERVAL);
    }

    #[test]
    fn identical_siblings_share_a_key_but_not_an_identity() {
        let twins = vec![route("a", "x=y", vec![]), route("b", "z=1", vec![]), route("c", "x=y", vec![])];
        let tree = RouteTree::check(&route("root", "", twins)).unwrap();
        let column = |f: fn(&Route) -> &str| tree.iter().map(|(_, r)| f(r).to_owned()).collect::<Vec<_>>();
        assert_eq!(column(|r| &r.key), ["{}", "{}/{x=\"y\"}", "{}/{z=\"1\"}", "{}/{x=\"y\"}"]);
        assert_eq!(column(|r| &r.identity), ["{}", "{}/{x=\"y\"}", "{}/{z=\"1\"}", "{}/{x=\"y\"}#1"]);
        assert_eq!(column(|r| &r.id), ["{}", "{}/{x=\"y\"}/0", "{}/{z=\"1\"}/1", "{}/{x=\"y\"}/2"]);
    }

    #[test]
    fn lists_everything_that_is_wrong() {
        let mut spec = route("", "a=b", vec![route("x", "", vec![route("y", "", vec![])])]);
        spec.continue_matching = true;
        spec.mute_time_intervals = vec!["n".into()];
        spec.active_time_intervals = vec!["n".into()];
        spec.routes[0].routes[0].group_interval = Some(Duration::ZERO);
        spec.routes[0].repeat_interval = Some(Duration::ZERO);
        let problems = RouteTree::check(&spec).unwrap_err();
        let places: Vec<_> = problems.iter().map(|p| (p.path.as_slice(), p.field)).collect();
        assert_eq!(
            places,
            [
                (&[][..], "receiver"),
                (&[][..], "matchers"),
                (&[][..], "continue"),
                (&[][..], "mute_time_intervals"),
                (&[][..], "active_time_intervals"),
                (&[0][..], "repeat_interval"),
                (&[0, 0][..], "group_interval"),
            ]
        );
    }

    #[test]
    fn reads_group_by() {
        let parse = |names: &[&str]| GroupBy::parse(names, MatcherMode::Fallback);
        assert_eq!(parse(&["..."]), Ok(GroupBy::All));
        assert_eq!(parse(&["...", "..."]), Ok(GroupBy::All));
        assert!(parse(&["...", "a"]).is_err());
        assert!(parse(&["a", "..."]).is_err());
        assert!(parse(&["a", "a"]).is_err());
        assert!(parse(&[""]).is_err());
        assert!(GroupBy::parse(&["ä"], MatcherMode::Classic).is_err());
        assert!(parse(&["ä"]).is_ok());
    }
}
