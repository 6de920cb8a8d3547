/// How a guest uses a disk, and so which lease it needs.
public enum DiskMode: Sendable, Equatable {
    /// The guest can write it and expects nobody else to.
    case exclusive
    /// The guest can write it together with others: `share-rw=on`.
    case shared
    /// The guest can't write it.
    case readonly
}

/// A disk that an emulator opens.
public struct DiskUse: Sendable, Equatable {
    /// The string that is hashed: an absolute path, else the form written down in ``NetworkDisk`` or, for a PCI disk of
    /// `-drive file=nvme://…`, `nvme://ADDRESS/NAMESPACE`.
    public var path: String
    /// How the guest uses it.
    public var mode: DiskMode
    /// The option that names the disk, as given, on one line, without passwords and cut where it is very long.
    public var origin: String
    /// Whether `path` is a network disk's key and no path of this host.
    public var isNetwork: Bool

    /// Makes a use from its parts.
    public init(path: String, mode: DiskMode, origin: String, isNetwork: Bool = false) {
        self.path = path
        self.mode = mode
        self.origin = origin
        self.isNetwork = isNetwork
    }
}

/// What becomes of the process that is started.
public enum Lifetime: Sendable, Equatable {
    /// An emulator without `-daemonize`: the process started is the guest.
    case staysInForeground
    /// An emulator with `-daemonize`: the process started exits once the guest runs in another one.
    case daemonizes
    /// Not an emulator.
    case unknown
}

extension DiskMode {
    /// Of two uses of one disk the one with the greater strength rules.
    var strength: Int {
        switch self {
        case .readonly: 0
        case .shared: 1
        case .exclusive: 2
        }
    }
}
