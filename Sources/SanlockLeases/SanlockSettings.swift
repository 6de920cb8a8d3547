import Configuration
import Leases

/// What the driver has to know of this host and its lease directory.
public struct SanlockSettings: Equatable, Sendable {
    /// Where automatic leases live; slashes at the end are dropped.
    public var leaseDirectory: String
    /// This host's id in the lockspace, 1 to 2000; nil: automatic leases are refused.
    public var hostId: UInt64?
    /// sanlock's io timeout for the lockspace, in seconds; 0: the daemon's own.
    public var ioTimeoutSeconds: UInt32
    /// How many hosts a new lease file is made for, 1 to 2000.
    public var leaseHosts: Int32
    /// The owner of new files, so that the daemon can use them; nil: this process's.
    public var fileUser: UInt32?
    /// Their group.
    public var fileGroup: UInt32?
    /// Whether each disk has a lease of its own in the lease directory.
    public var hasDiskLeases = true

    /// States all of it.
    public init(
        leaseDirectory: String, hostId: UInt64?, ioTimeoutSeconds: UInt32, leaseHosts: Int32, fileUser: UInt32?,
        fileGroup: UInt32?
    ) {
        // sanlock takes two spellings of a path for two lockspaces.
        let plain = leaseDirectory.utf8.reversed().drop { $0 == UInt8(ascii: "/") }.reversed()
        self.leaseDirectory = plain.isEmpty ? "/" : String(decoding: Array(plain), as: UTF8.self)
        self.hostId = hostId
        self.ioTimeoutSeconds = ioTimeoutSeconds
        self.leaseHosts = leaseHosts
        self.fileUser = fileUser
        self.fileGroup = fileGroup
    }

    /// What a host's configuration says; user and group are named in it, and numbers here.
    public init(_ configuration: Configuration, fileUser: UInt32?, fileGroup: UInt32?) {
        self.init(
            leaseDirectory: configuration.diskLeaseDirectory, hostId: configuration.hostId.map { UInt64($0) },
            ioTimeoutSeconds: UInt32(configuration.ioTimeoutSeconds), leaseHosts: Int32(configuration.leaseHosts),
            fileUser: fileUser, fileGroup: fileGroup)
    }

    /// The io timeout that is in force, as far as it is known here: sanlock's own is 10.
    var ioSeconds: Double { Double.ioSeconds(ioTimeoutSeconds) }

    /// The lease of a disk, by libvirt's rule: named by the MD5 of its path, in a file of that name.
    public func request(forDisk path: String, mode: LeaseMode) -> LeaseRequest {
        let name = LeaseName.ofDisk(path)
        let resource = LeaseResource(
            lockspace: LeaseName.lockspace, name: name, path: "\(leaseDirectory)/\(name)", offsetBytes: 0)
        return LeaseRequest(disk: path, resource: resource, mode: mode)
    }

    /// When something has to be done about leases that were taken this moment, as far as it is known before the first look.
    public var firstDeadlines: LeaseDeadlines {
        LockspaceState(name: LeaseName.lockspace, hostId: hostId ?? 0, hostName: nil, ioTimeoutSeconds: ioSeconds)
            .deadlines(now: 0)
    }

    /// The lockspace's file.
    var lockspacePath: String { "\(leaseDirectory)/\(LeaseName.lockspace)" }

    /// Where files are made aside, and holders' records are.
    var recordDirectory: String { "\(leaseDirectory)/.leasehold" }
}

extension Double {
    /// The seconds of an io timeout as sanlock stores it: 0 stands for its own, and it keeps a byte of it.
    static func ioSeconds(_ stored: UInt32) -> Double { stored == 0 ? 10 : Double(min(stored, 255)) }
}
