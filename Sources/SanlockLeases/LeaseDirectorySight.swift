import Glibc
import Leases
import Platform

/// The lease directory as somebody sees it who only looks. Every call blocks for as long as the storage does.
public struct LeaseDirectorySight: Sendable {
    private let settings: SanlockSettings

    /// Nothing is looked at yet.
    public init(settings: SanlockSettings) {
        self.settings = settings
    }

    /// The lockspace of automatic leases.
    public static let lockspaceName = LeaseName.lockspace

    /// The lockspace's file.
    public var lockspacePath: String { settings.lockspacePath }

    /// Where records are, and files that are being made.
    public var recordDirectory: String { settings.recordDirectory }

    /// A name for a file that is there for a moment, which others take for one that is being made; it does not begin as a
    /// lease does.
    public func temporaryPath() -> String {
        guard ((try? Files.kind(of: settings.recordDirectory)) ?? nil)?.isDirectory == true else {
            return "\(settings.leaseDirectory)/.leasehold-\(getpid()).new"
        }
        return LeaseFiles(settings: settings).asidePath()
    }

    /// What the lockspace's file is worth.
    public enum Lockspace: Equatable, Sendable {
        /// Nothing is there.
        case missing
        /// Somebody began to make it; no host has ever joined through it.
        case unmade
        /// It is none; the words complete a sentence, `it …`.
        case damaged(String)
        /// One that hosts can join.
        case whole
    }

    /// Looks at the lockspace's file.
    public func lockspace() throws(SystemError) -> Lockspace {
        guard let kind = try Files.kind(of: lockspacePath) else { return .missing }
        guard kind.isRegular || kind.isBlockDevice else { return .damaged("is no file that a lockspace can be in") }
        let bytes = try SharedFile.read(lockspacePath, offset: 0, count: LockspaceSlots.Sizes.usual.alignBytes)
        guard let sizes = LockspaceSlots.sizes(in: lockspacePath) else {
            return LockspaceSlots.isUnmade(bytes[...]) ? .unmade : .damaged("does not begin as a lockspace does")
        }
        if kind.isRegular, kind.size < Int64(sizes.alignBytes) {
            return LockspaceSlots.isUnmade(bytes[...]) ? .unmade : .damaged("is cut short")
        }
        return .whole
    }

    /// What a host wrote into its slot of the lockspace; nil where none of that id was ever there.
    public func slot(of hostId: UInt64) -> LockspaceSlot? {
        LockspaceSlots.slot(of: hostId, in: lockspacePath)
    }

    /// The note of a host that wanted this host's id; nil where there is none.
    public func clash() -> HostIdClash? {
        settings.hostId.flatMap { HostIdClash.read(settings: settings, hostId: $0) }
    }

    /// Whether the daemon has joined the lockspace as the settings say. Blocks for as long as the daemon does.
    public func isJoined() -> Bool { LockspaceMembership(settings: settings).isJoined() }

    /// What there is to say about the lease files together.
    public struct Leases: Equatable, Sendable {
        /// How many there are.
        public var count = 0
        /// How many were looked at: of very many only the first, by their names.
        public var seen = 0
        /// Those whose file can't be used, with what is wrong.
        public var faults: [String] = []
        /// Those with no slot for this host.
        public var tooSmall: [String] = []

        /// Nothing was looked at.
        public init() {}
    }

    /// Looks at the first sector of each lease file.
    ///
    /// - Parameter seconds: after how long to look at no more of them.
    public func leases(within seconds: Double) throws(SystemError) -> Leases {
        let deadline = Clock.monotonicSeconds() + seconds
        let names = try Files.names(in: settings.leaseDirectory).filter(LeaseDirectory.isLeaseName).sorted()
        var leases = Leases()
        leases.count = names.count
        for name in names where Clock.monotonicSeconds() < deadline {
            leases.seen += 1
            let first: [UInt8]
            do throws(SystemError) {
                first = try SharedFile.read("\(settings.leaseDirectory)/\(name)", offset: 0, count: 4096)
            } catch {
                // Removed since.
                if error.number != ENOENT { leases.faults.append("\(name) can't be read: \(error.message)") }
                continue
            }
            switch LeaseContent(first[...], isCutShort: false) {
            case .whole(let leader):
                if let hostId = settings.hostId, UInt64(leader.hosts) < hostId {
                    leases.tooSmall.append("\(name) (room for host ids up to \(leader.hosts))")
                }
            // A start mends it.
            case .unmade: break
            case .damaged(let words): leases.faults.append("\(name) \(words)")
            }
        }
        return leases
    }

    /// The disks that holders wrote down, on any host.
    public func recordedDisks() -> [String] {
        HolderRecords(settings: settings).disks().values.sorted()
    }

    /// Tries whether the calling process can use the directory as the daemon has to: get at it, and open what is there for
    /// reading and writing.
    ///
    /// - Returns: what can't be used, a clause each.
    public func unusable() -> [String] {
        var path = ""
        for part in settings.leaseDirectory.split(separator: "/") {
            path += "/\(part)"
            do throws(SystemError) { _ = try Files.kind(of: "\(path)/.") } catch {
                return ["\(path) can't be searched (\(SystemError.text(of: error.number)))"]
            }
        }
        var faults: [String] = []
        if let kind = try? Files.kind(of: recordDirectory), kind.isDirectory {
            do throws(SystemError) { _ = try Files.kind(of: "\(recordDirectory)/.") } catch {
                faults.append("\(recordDirectory) can't be searched (\(SystemError.text(of: error.number)))")
            }
        }
        return faults
    }

    /// The same of the files; of names that the caller may list and the daemon perhaps not.
    public func unusable(_ names: [String]) -> [String] {
        names.compactMap { name in
            let path = "\(settings.leaseDirectory)/\(name)"
            do throws(SystemError) { _ = try Files.open(path, O_RDWR | O_NONBLOCK | O_NOCTTY) } catch {
                if error.number != ENOENT { return "\(path) can't be opened (\(SystemError.text(of: error.number)))" }
            }
            return nil
        }
    }

    /// The files that the daemon opens: the lockspace's and the leases.
    public func fileNames() -> [String] {
        let names = ((try? Files.names(in: settings.leaseDirectory)) ?? []).filter(LeaseDirectory.isLeaseName)
        return [LeaseName.lockspace] + names.sorted()
    }
}

extension LockspaceSlot {
    /// The io timeout that is in force for the host.
    public var ioSeconds: Double { Double.ioSeconds(ioTimeoutSeconds) }
}
