//! What a line of k3s' journal means (the words are those of k3s' and kubelet's sources). Wording drifts between releases, so a line that matches nothing is
//! *unknown*, never good.

/// What is wrong with a node that has not joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JoinTrouble {
    /// The server is not up yet.
    ServerNotUp,
    /// The server cannot be reached at all.
    ServerUnreachable,
    /// Wrong or missing secret.
    BadToken,
    /// Secret of another cluster.
    CaMismatch,
    /// Another node has that name.
    DuplicateNode,
    /// The URL of the server is no good.
    BadUrl,
    /// The private network card is missing.
    NoInterface,
    /// Two servers joined at once.
    EtcdLearner,
    /// A stale member of the cluster store.
    EtcdDuplicate,
    /// Servers that differ in what must be equal.
    ConfigMismatch,
    /// Something else has the port.
    PortInUse,
    /// The kernel lacks a control group.
    Cgroup,
    /// The release could not be fetched.
    Download,
    /// The disk is full.
    Disk,
    /// The clock is wrong.
    Clock,
    /// Nothing that is known.
    Unknown,
}

impl JoinTrouble {
    /// Whether waiting can help.
    #[must_use]
    pub fn may_pass(self) -> bool {
        match self {
            Self::ServerNotUp
            | Self::ServerUnreachable
            | Self::NoInterface
            | Self::EtcdLearner
            | Self::Clock
            | Self::Unknown => true,
            Self::BadToken
            | Self::CaMismatch
            | Self::DuplicateNode
            | Self::BadUrl
            | Self::EtcdDuplicate
            | Self::ConfigMismatch
            | Self::PortInUse
            | Self::Cgroup
            | Self::Download
            | Self::Disk => false,
        }
    }

    /// Whether it comes from outside the machine, whoever wrote its template.
    pub(crate) fn is_outside(self) -> bool {
        match self {
            Self::Download | Self::Clock => true,
            Self::ServerNotUp
            | Self::ServerUnreachable
            | Self::BadToken
            | Self::CaMismatch
            | Self::DuplicateNode
            | Self::BadUrl
            | Self::NoInterface
            | Self::EtcdLearner
            | Self::EtcdDuplicate
            | Self::ConfigMismatch
            | Self::PortInUse
            | Self::Cgroup
            | Self::Disk
            | Self::Unknown => false,
        }
    }

    /// The stable name of this kind of trouble.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::BadToken | Self::CaMismatch => "GSH-NODE-008",
            Self::ServerNotUp | Self::ServerUnreachable => "GSH-NODE-009",
            Self::DuplicateNode | Self::EtcdDuplicate => "GSH-NODE-010",
            Self::Download => "GSH-NODE-011",
            Self::BadUrl
            | Self::NoInterface
            | Self::EtcdLearner
            | Self::ConfigMismatch
            | Self::PortInUse
            | Self::Cgroup
            | Self::Disk
            | Self::Clock
            | Self::Unknown => "GSH-NODE-012",
        }
    }

    /// In words.
    #[must_use]
    pub fn says(self) -> &'static str {
        match self {
            Self::ServerNotUp => "the server is not up",
            Self::ServerUnreachable => "the server cannot be reached",
            Self::BadToken => "the join token is refused",
            Self::CaMismatch => "the join token belongs to another cluster",
            Self::DuplicateNode => "another node has its name",
            Self::BadUrl => "the URL of the server is no good",
            Self::NoInterface => "the private network interface is missing",
            Self::EtcdLearner => "two servers joined at once",
            Self::EtcdDuplicate => "the cluster store has a stale member of its name",
            Self::ConfigMismatch => "its settings differ from those of the other servers",
            Self::PortInUse => "a port of k3s is taken",
            Self::Cgroup => "the kernel lacks a control group",
            Self::Download => "the k3s release cannot be downloaded",
            Self::Disk => "the disk is full",
            Self::Clock => "its clock is wrong",
            Self::Unknown => "k3s does not become active",
        }
    }
}

/// Rows in order: all words of a row must be in the text. Specific rows stand before general ones.
const TABLE: &[(&[&str], JoinTrouble)] = &[
    (&["Node password rejected"], JoinTrouble::DuplicateNode),
    (&["unable to verify hash for node"], JoinTrouble::DuplicateNode),
    (&["token CA hash does not match"], JoinTrouble::CaMismatch),
    (&["CA cert validation failed"], JoinTrouble::CaMismatch),
    (&["invalid token CA hash length"], JoinTrouble::CaMismatch),
    (&["401 Unauthorized"], JoinTrouble::BadToken),
    (&["403 Forbidden"], JoinTrouble::BadToken),
    (&["invalid username/password combination"], JoinTrouble::BadToken),
    (&["token must not be empty"], JoinTrouble::BadToken),
    (&["invalid token format"], JoinTrouble::BadToken),
    (&["only https:// URLs are supported"], JoinTrouble::BadUrl),
    (&["Only https:// URLs are supported"], JoinTrouble::BadUrl),
    (&["invalid scheme"], JoinTrouble::BadUrl),
    (&["unable to find interface"], JoinTrouble::NoInterface),
    (&["duplicate node name found"], JoinTrouble::EtcdDuplicate),
    (&["too many learner members"], JoinTrouble::EtcdLearner),
    (&["critical configuration value mismatch"], JoinTrouble::ConfigMismatch),
    (&["address already in use"], JoinTrouble::PortInUse),
    (&["Failed to find memory cgroup"], JoinTrouble::Cgroup),
    (&["failed to find cpu cgroup"], JoinTrouble::Cgroup),
    (&["Download failed"], JoinTrouble::Download),
    (&["sha256 does not match"], JoinTrouble::Download),
    (&["no space left on device"], JoinTrouble::Disk),
    (&["certificate has expired or is not yet valid"], JoinTrouble::Clock),
    (&["CA certs", "context deadline exceeded"], JoinTrouble::ServerUnreachable),
    (&["CA certs", "no route to host"], JoinTrouble::ServerUnreachable),
    (&["CA certs", "i/o timeout"], JoinTrouble::ServerUnreachable),
    (&["Failed to validate connection to cluster", "no route to host"], JoinTrouble::ServerUnreachable),
    (&["Failed to validate connection to cluster", "i/o timeout"], JoinTrouble::ServerUnreachable),
    (&["server is not ready"], JoinTrouble::ServerNotUp),
    (&["Failed to validate connection to cluster"], JoinTrouble::ServerNotUp),
    (&["failed to get CA certs"], JoinTrouble::ServerNotUp),
];

/// What the last lines of a journal or of an installer's output mean. The latest line that says something decides.
#[must_use]
pub fn classify(text: &str) -> (JoinTrouble, String) {
    let mut last = "";
    for line in text.lines().rev().map(str::trim).filter(|l| !l.is_empty()) {
        if last.is_empty() {
            last = line;
        }
        for (words, trouble) in TABLE {
            if words.iter().all(|w| line.contains(w)) {
                return (*trouble, line.to_owned());
            }
        }
    }
    (JoinTrouble::Unknown, last.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_get_their_class_and_the_latest_one_decides() {
        for (text, expected) in [
            (
                "level=error msg=\"token CA hash does not match the Cluster CA certificate hash: a != b\"",
                JoinTrouble::CaMismatch,
            ),
            ("msg=\"Failed to retrieve agent config: 401 Unauthorized\"", JoinTrouble::BadToken),
            (
                "msg=\"Failed to validate connection to cluster at https://10.2.0.2:6443: failed to get CA certs: dial tcp: connection refused\"",
                JoinTrouble::ServerNotUp,
            ),
            (
                "msg=\"failed to get CA certs: Get https://10.2.0.2:6443/cacerts: context deadline exceeded\"",
                JoinTrouble::ServerUnreachable,
            ),
            (
                "msg=\"Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password'\"",
                JoinTrouble::DuplicateNode,
            ),
            ("server is not ready\nmsg=\"403 Forbidden\"\nmsg=\"something new\"", JoinTrouble::BadToken),
            ("", JoinTrouble::Unknown),
            ("never seen before", JoinTrouble::Unknown),
        ] {
            assert_eq!(classify(text).0, expected, "{text}");
        }
        assert_eq!(classify("a\nnever seen before\n").1, "never seen before");
    }
}
