/// The keys of the file. The first seven are those of libvirt's `src/locking/lock_driver_sanlock.c`.
enum ConfigurationKey: String, CaseIterable {
    case autoDiskLeases = "auto_disk_leases"
    case diskLeaseDirectory = "disk_lease_dir"
    case hostId = "host_id"
    case requireLeaseForDisks = "require_lease_for_disks"
    case ioTimeout = "io_timeout"
    case user
    case group
    case leaseHosts = "lease_hosts"
    case wait
    case onLeaseLoss = "on_lease_loss"
    case stopTimeout = "stop_timeout"
    case runDirectory = "run_dir"

    /// What a value may be, in the words that follow "allowed is".
    var allowed: String {
        switch self {
        case .autoDiskLeases, .requireLeaseForDisks: "0 or 1"
        case .diskLeaseDirectory:
            "an absolute path in quotes, at most \(Limits.diskLeaseDirectoryBytes) bytes with sanlock's escapes"
        case .hostId: Limits.hostId.asAllowed
        case .leaseHosts: Limits.leaseHosts.asAllowed
        case .ioTimeout: Limits.ioTimeoutSeconds.asAllowed + " seconds, 0 for sanlock's own"
        case .user, .group: "a name in quotes or an id"
        case .wait, .stopTimeout: "a number of seconds, or a duration like \"30s\", \"2m\" or \"1h\", up to ten years"
        case .onLeaseLoss: OnLeaseLoss.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: " or ")
        case .runDirectory: "an absolute path in quotes, at most \(Limits.runDirectoryBytes) bytes"
        }
    }

    /// The key that was probably meant by one that doesn't exist, nil where none is near.
    static func nearest(to name: String) -> ConfigurationKey? {
        // Longer names are near to none, and the time for a garbage file stays small.
        guard name.utf8.count <= 40 else { return nil }
        let folded = name.utf8.map { byte -> UInt8 in
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte | 0x20
            case UInt8(ascii: "-"), UInt8(ascii: "."): UInt8(ascii: "_")
            default: byte
            }
        }
        var nearest: (key: ConfigurationKey, distance: Int)?
        for key in allCases {
            let distance = editDistance(folded, Array(key.rawValue.utf8))
            guard distance <= key.rawValue.utf8.count / 3 else { continue }
            if let best = nearest, best.distance <= distance { continue }
            nearest = (key, distance)
        }
        return nearest?.key
    }
}

/// The ranges that several places need to agree on.
enum Limits {
    /// sanlock's DEFAULT_MAX_HOSTS, the host ids that a lockspace of one mebibyte has room for.
    static let hostId = 1...2000

    static let leaseHosts = 1...2000

    /// sanlock writes the low eight bits of a host's timeout to its lease (`delta_lease.c`: `io_timeout & 0x00FF`). Of a
    /// larger one the other hosts would read a shorter one, and take the leases of a host that still runs.
    static let ioTimeoutSeconds = 0...255

    /// The ids of Linux; the last one, 4294967295, means "none" to chown.
    static let accountId = 0...4_294_967_294

    /// SANLK_PATH_LEN with its NUL, less a slash and the 32 digits of a lease file's name.
    static let diskLeaseDirectoryBytes = 1024 - 1 - 1 - 32

    /// sun_path with its NUL, less `/guests/`, the longest name of a guest and `/control`.
    static let runDirectoryBytes = 108 - 1 - 8 - 64 - 8

    /// LOGIN_NAME_MAX of Linux, without its NUL.
    static let accountNameBytes = 255
}

extension ClosedRange<Int> {
    fileprivate var asAllowed: String { "an integer from \(lowerBound) to \(upperBound)" }
}

/// How many bytes have to be put in, taken out or replaced to make one text the other.
private func editDistance(_ first: [UInt8], _ second: [UInt8]) -> Int {
    var row = Array(0...second.count)
    for (i, left) in first.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, right) in second.enumerated() {
            let replaced = diagonal + (left == right ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(replaced, row[j] + 1, diagonal + 1)
        }
    }
    return row[second.count]
}
