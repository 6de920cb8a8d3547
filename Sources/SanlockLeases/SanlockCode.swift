import CSanlock
import Glibc
import Leases

/// A code that sanlock returned, and what it means for a lease. The one place that knows.
///
/// Source: `sanlock_rv.h`, and what each was seen to mean (docs/decisions/sanlock-codes.md).
struct SanlockCode: Error, Equatable {
    let number: Int32

    /// `SANLK_ACQUIRE_IDLIVE -243`, or `EEXIST -17`.
    var symbol: String {
        if number == SanlockCode.connectionBroken { return "connection broken -1" }
        let name = SanlockCode.names[number] ?? SanlockCode.systemNames[-number] ?? "code"
        return "\(name) \(number)"
    }

    /// What it means when leases are taken.
    var outcome: LeaseOutcome {
        switch number {
        case -EEXIST, SANLK_ACQUIRE_IDLIVE, SANLK_ACQUIRE_OWNED, SANLK_ACQUIRE_OTHER, SANLK_ACQUIRE_SHRETRY:
            .heldElsewhere
        case SANLK_ACQUIRE_OWNED_RETRY: .deadNotExpired
        // Another host was faster in the ballot over it, or is in it.
        case -EAGAIN, -EBUSY, SANLK_DBLOCK_MBAL, SANLK_DBLOCK_LVER: .beingReleased
        case -EUCLEAN: .orphaned
        case SANLK_ACQUIRE_LVER, SANLK_REQUEST_OLD, SANLK_REQUEST_LVER: .wrongVersion
        case -ENOSPC, SANLK_ACQUIRE_LOCKSPACE, SANLK_ACQUIRE_IDDISK: .lockspaceGone
        case SANLK_HOSTID_BUSY, SANLK_RENEW_OWNER, SANLK_RENEW_DIFF: .hostIdInUse
        case -ENOENT: .leaseFileMissing
        case -EMSGSIZE, SANLK_LEADER_DIFF, SANLK_LEADER_MAGIC, SANLK_LEADER_VERSION, SANLK_LEADER_SECTORSIZE,
            SANLK_LEADER_LOCKSPACE, SANLK_LEADER_RESOURCE, SANLK_LEADER_CHECKSUM, SANLK_DBLOCK_CHECKSUM,
            SANLK_REQUEST_MAGIC, SANLK_REQUEST_VERSION, -EISDIR, -EINVAL, -ELOOP, -ENOTDIR, -ENXIO, -ENODEV,
            -ENAMETOOLONG:
            .leaseFileUnusable
        case SANLK_LEADER_NUMHOSTS: .hostIdTooLarge
        case SanlockCode.connectionBroken, -ECONNREFUSED, -ECONNRESET, -EPIPE, -ENOTCONN: .daemonUnreachable
        case SANLK_AIO_TIMEOUT, SANLK_DBLOCK_READ, SANLK_DBLOCK_WRITE, SANLK_LEADER_READ, SANLK_LEADER_WRITE, -EIO,
            -ETIMEDOUT:
            .storageFailed
        case -EACCES, -EROFS: .notPermitted
        default: .other
        }
    }

    /// What libsanlock returns where the daemon ended in the middle of an answer. It is no errno: the daemon has no EPERM.
    static let connectionBroken: Int32 = -1

    /// Whether something else than a file or a device has the path.
    var isOfNoFile: Bool { [-EISDIR, -ELOOP, -ENOTDIR, -ENXIO, -ENODEV].contains(number) }

    /// The lease has another version.
    static let wrongVersion = SanlockCode(number: SANLK_ACQUIRE_LVER)

    /// The lease was taken once more since its version was read.
    static let tooLate = SanlockCode(number: SANLK_REQUEST_OLD)

    /// The lockspace isn't there for us.
    static let lockspaceNotJoined = SanlockCode(number: -ENOSPC)

    /// Whether it says that what is at a lease's place isn't that lease; not that it can't be read just now.
    var isOfChangedStorage: Bool {
        switch number {
        case -ENOENT, -EMSGSIZE, SANLK_LEADER_MAGIC, SANLK_LEADER_VERSION, SANLK_LEADER_SECTORSIZE,
            SANLK_LEADER_LOCKSPACE, SANLK_LEADER_RESOURCE, SANLK_LEADER_CHECKSUM, SANLK_LEADER_NUMHOSTS:
            true
        default: false
        }
    }

    /// Another host has this host's id.
    static let hostIdBusy = SANLK_HOSTID_BUSY

    /// Whether a lease file is there that has not been made whole: too short, or without a lease in it.
    var isUnformatted: Bool { number == -EMSGSIZE || number == SANLK_LEADER_MAGIC }

    /// The words of a sentence, `the lease file is missing`, with the symbol.
    var explanation: String {
        let words: String =
            switch outcome {
            case .heldElsewhere, .heldWithoutRecord: "the lease is held"
            case .deadNotExpired: "the lease's owner is dead and may not be replaced yet"
            case .beingReleased: "the lease is being released"
            case .orphaned: "the lease was orphaned on this host"
            case .wrongVersion: "the lease has another version"
            case .lockspaceGone: "the lockspace isn't joined or has failed"
            case .hostIdInUse: "another host uses this host id"
            case .leaseFileMissing: "the lease file is missing"
            case .leaseFileUnusable: unusable
            case .leaseFileNotMade: "the lease file can't be made"
            case .hostIdTooLarge: "the lease file has no slot for this host id"
            case .daemonUnreachable: "the sanlock daemon is gone"
            case .storageFailed: "the lease storage failed"
            case .notPermitted: "the sanlock daemon may not use the lease file"
            case .sameDevice, .configurationWrong, .other: "sanlock refused"
            }
        return "\(words) (\(symbol))"
    }

    private var unusable: String {
        switch number {
        case SANLK_LEADER_RESOURCE: "it is made for another resource"
        case SANLK_LEADER_LOCKSPACE: "it is made for another lockspace"
        case SANLK_LEADER_SECTORSIZE: "it is made for another sector size"
        case SANLK_LEADER_VERSION: "it is made for another version of sanlock, or damaged"
        case SANLK_LEADER_CHECKSUM: "it is damaged: its checksum is wrong"
        case SANLK_REQUEST_MAGIC, SANLK_REQUEST_VERSION: "it is damaged: nothing can be asked for in it"
        case SANLK_DBLOCK_CHECKSUM:
            "it is damaged, or made for another sector size: a host's block has a wrong checksum"
        case SANLK_LEADER_MAGIC, -EMSGSIZE: "it is not formatted"
        case _ where isOfNoFile: "it is no file that a lease can be in; remove it"
        default: "it is damaged or made for something else"
        }
    }

    private static let names: [Int32: String] = [
        SANLK_ERROR: "SANLK_ERROR", SANLK_AIO_TIMEOUT: "SANLK_AIO_TIMEOUT", SANLK_WD_ERROR: "SANLK_WD_ERROR",
        SANLK_DBLOCK_READ: "SANLK_DBLOCK_READ", SANLK_DBLOCK_WRITE: "SANLK_DBLOCK_WRITE",
        SANLK_DBLOCK_LVER: "SANLK_DBLOCK_LVER", SANLK_DBLOCK_MBAL: "SANLK_DBLOCK_MBAL",
        SANLK_DBLOCK_CHECKSUM: "SANLK_DBLOCK_CHECKSUM", SANLK_LEADER_READ: "SANLK_LEADER_READ",
        SANLK_LEADER_WRITE: "SANLK_LEADER_WRITE", SANLK_LEADER_DIFF: "SANLK_LEADER_DIFF",
        SANLK_LEADER_MAGIC: "SANLK_LEADER_MAGIC", SANLK_LEADER_VERSION: "SANLK_LEADER_VERSION",
        SANLK_LEADER_SECTORSIZE: "SANLK_LEADER_SECTORSIZE", SANLK_LEADER_LOCKSPACE: "SANLK_LEADER_LOCKSPACE",
        SANLK_LEADER_RESOURCE: "SANLK_LEADER_RESOURCE", SANLK_LEADER_NUMHOSTS: "SANLK_LEADER_NUMHOSTS",
        SANLK_LEADER_CHECKSUM: "SANLK_LEADER_CHECKSUM", SANLK_ADDLS_SIZES: "SANLK_ADDLS_SIZES",
        SANLK_ADDLS_INVALID_HOSTID: "SANLK_ADDLS_INVALID_HOSTID", SANLK_ACQUIRE_LVER: "SANLK_ACQUIRE_LVER",
        SANLK_ACQUIRE_LOCKSPACE: "SANLK_ACQUIRE_LOCKSPACE", SANLK_ACQUIRE_IDDISK: "SANLK_ACQUIRE_IDDISK",
        SANLK_ACQUIRE_IDLIVE: "SANLK_ACQUIRE_IDLIVE", SANLK_ACQUIRE_OWNED: "SANLK_ACQUIRE_OWNED",
        SANLK_ACQUIRE_OTHER: "SANLK_ACQUIRE_OTHER", SANLK_ACQUIRE_SHRETRY: "SANLK_ACQUIRE_SHRETRY",
        SANLK_ACQUIRE_OWNED_RETRY: "SANLK_ACQUIRE_OWNED_RETRY", SANLK_RELEASE_LVER: "SANLK_RELEASE_LVER",
        SANLK_RELEASE_OWNER: "SANLK_RELEASE_OWNER", SANLK_RENEW_OWNER: "SANLK_RENEW_OWNER",
        SANLK_RENEW_DIFF: "SANLK_RENEW_DIFF", SANLK_HOSTID_BUSY: "SANLK_HOSTID_BUSY",
        SANLK_REQUEST_MAGIC: "SANLK_REQUEST_MAGIC", SANLK_REQUEST_VERSION: "SANLK_REQUEST_VERSION",
        SANLK_REQUEST_OLD: "SANLK_REQUEST_OLD", SANLK_REQUEST_LVER: "SANLK_REQUEST_LVER",
    ]

    private static let systemNames: [Int32: String] = [
        ENOENT: "ENOENT", ESRCH: "ESRCH", EIO: "EIO", EAGAIN: "EAGAIN", ENOMEM: "ENOMEM", EACCES: "EACCES",
        EBUSY: "EBUSY", EEXIST: "EEXIST", EISDIR: "EISDIR", EINVAL: "EINVAL", ENOSPC: "ENOSPC", EROFS: "EROFS",
        EPIPE: "EPIPE", EMSGSIZE: "EMSGSIZE", ECONNRESET: "ECONNRESET", ETIMEDOUT: "ETIMEDOUT",
        ECONNREFUSED: "ECONNREFUSED", EALREADY: "EALREADY", EINPROGRESS: "EINPROGRESS", EUCLEAN: "EUCLEAN",
        ENOTCONN: "ENOTCONN", ELOOP: "ELOOP", ENOTDIR: "ENOTDIR", ENXIO: "ENXIO", ENODEV: "ENODEV",
        ENAMETOOLONG: "ENAMETOOLONG",
    ]
}
