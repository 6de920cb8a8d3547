/// The settings of a host, as its configuration file gives them. Options of a command override them.
///
/// The file is written in libvirt's `key = value` syntax, so that libvirt's own `qemu-sanlock.conf` can be read as it is.
/// Every value made by `init(parsing:path:)` is within the range that its property names.
public struct Configuration: Sendable, Equatable {
    /// Whether every disk gets a lease of its own without being told (`auto_disk_leases`, 0 or 1).
    public var autoDiskLeases: Bool

    /// The directory of the lease files (`disk_lease_dir`): an absolute path without control characters and backslashes,
    /// short enough for sanlock with 33 bytes added.
    ///
    /// It is kept as it was written, also with a `/` at its end: libvirt puts `/` and a name behind it, and sanlock takes
    /// two spellings of a path for two lockspaces.
    public var diskLeaseDirectory: String

    /// The number of this host among all that share the lease directory (`host_id`), 1 to 2000; nil where none is set.
    public var hostId: Int?

    /// Whether a guest in which no disk is found is refused (`require_lease_for_disks`, 0 or 1).
    public var requireLeaseForDisks: Bool

    /// sanlock's I/O timeout in seconds (`io_timeout`), 1 to 255; 0 leaves it to the daemon.
    public var ioTimeoutSeconds: Int

    /// The user of the sanlock daemon (`user`), who gets the lease files: a name, or an id where it has digits only.
    /// nil where none is set.
    public var user: String?

    /// The group of the sanlock daemon (`group`): a name, or an id where it has digits only. nil where none is set.
    public var group: String?

    /// The number of hosts for which a new lease file is made (`lease_hosts`), 1 to 2000.
    public var leaseHosts: Int

    /// How long a start waits for a busy lease (`wait`), in seconds, 0 to ten years; 0 fails at once.
    public var waitSeconds: Double

    /// What happens to a guest whose lease is lost (`on_lease_loss`).
    public var onLeaseLoss: OnLeaseLoss

    /// The time from SIGTERM to SIGKILL when a guest is stopped (`stop_timeout`), in seconds, 0 to ten years.
    public var stopTimeoutSeconds: Double

    /// The directory of the control sockets (`run_dir`): an absolute path without control characters, at most 27 bytes
    /// long, kept as it was written. nil where none is set.
    public var runDirectory: String?

    /// The settings of a host without a file: each at its default.
    public init() {
        autoDiskLeases = true
        diskLeaseDirectory = "/var/lib/libvirt/sanlock"
        hostId = nil
        requireLeaseForDisks = false
        ioTimeoutSeconds = 0
        user = nil
        group = nil
        leaseHosts = 250
        waitSeconds = 0
        onLeaseLoss = .poweroff
        stopTimeoutSeconds = 30
        runDirectory = nil
    }
}

/// What happens to a guest whose lease is lost. The raw values are the words of the file and of `--on-lease-loss`.
public enum OnLeaseLoss: String, Sendable, Equatable, CaseIterable {
    /// The guest is ended.
    case poweroff
    /// The guest's processors are stopped through QMP, and its memory stays.
    case pause
}
