import ControlProtocol
import Glibc
import Platform
import SanlockLeases

/// The lease directory and the storage that it is on, tried by this user.
struct StorageFacts: Equatable, Sendable {
    /// What was being done last.
    var step: String?
    /// Why the directory can't be looked at.
    var missing: String?
    /// Whether there is a directory.
    var isDirectory: Bool?
    /// Why this user can't write there.
    var notWritable: String?
    /// The kind of file system, by its number.
    var magic: Int64?
    /// Its name in the mount table.
    var kind: String?
    /// Whether it is mounted read-only.
    var isReadOnly: Bool?
    /// Its mount options.
    var options: [String] = []
    /// Room for new files, in bytes.
    var freeBytes: Int64?
    /// Room for new files, in number.
    var freeFiles: Int64?
    /// Why no file can be made.
    var notMade: String?
    /// How long a direct write and read took, in seconds.
    var directSeconds: Double?
    /// Why that failed.
    var directFailure: String?
    /// Whether locks keep others away.
    var hasLocks: Bool?
    /// Why they don't.
    var lockFailure: String?
    /// How the look ended.
    var end = Facts.End.complete

    init() {}

    init(_ facts: Facts) {
        step = facts.string("step")
        missing = facts.string("missing")
        isDirectory = facts.bool("isDirectory")
        notWritable = facts.string("notWritable")
        magic = facts.integer("magic")
        kind = facts.string("kind")
        isReadOnly = facts.bool("isReadOnly")
        options = facts.strings("options") ?? []
        freeBytes = facts.integer("freeBytes")
        freeFiles = facts.integer("freeFiles")
        notMade = facts.string("notMade")
        directSeconds = facts.number("directSeconds")
        directFailure = facts.string("directFailure")
        hasLocks = facts.bool("hasLocks")
        lockFailure = facts.string("lockFailure")
        end = facts.end
    }

    /// Collects them, and says what it begins before it does.
    static func collect(_ directory: String, _ sight: LeaseDirectorySight, _ teller: Teller) {
        do throws(SystemError) {
            teller.tell("step", "looking at the directory")
            guard let kind = try Files.kind(of: directory) else { return teller.tell("missing", "is missing") }
            teller.tell("isDirectory", kind.isDirectory)
            if !kind.isDirectory { return }
            let system = try FileSystem(at: directory)
            teller.tell("magic", .integer(system.magic))
            if let kind = system.kind { teller.tell("kind", kind) }
            teller.tell("isReadOnly", system.isReadOnly)
            teller.tell("options", system.options)
            if let bytes = system.freeBytes { teller.tell("freeBytes", .integer(bytes)) }
            if let count = system.freeFiles { teller.tell("freeFiles", .integer(count)) }
        } catch {
            return teller.tell("missing", "can't be looked at: \(SystemError.text(of: error.number))")
        }
        if !Files.isWritableDirectory(directory) { return teller.tell("notWritable", SystemError.text(of: errno)) }
        let probe: ProbeFile
        do throws(SystemError) {
            teller.tell("step", "making a file")
            probe = try ProbeFile.make(in: directory, name: sight.temporaryPath())
        } catch {
            return teller.tell("notMade", SystemError.text(of: error.number))
        }
        let started = Clock.monotonicSeconds()
        do throws(SystemError) {
            teller.tell("step", "writing and reading past the cache")
            try probe.tryDirectAccess()
            teller.tell("directSeconds", .number(Clock.monotonicSeconds() - started))
        } catch {
            teller.tell("directFailure", SystemError.text(of: error.number))
        }
        do throws(SystemError) {
            teller.tell("step", "locking")
            teller.tell("hasLocks", try probe.tryLocks())
        } catch {
            teller.tell("lockFailure", SystemError.text(of: error.number))
        }
        teller.tell("step", "removing a file")
    }

    // MARK: - Judgements

    /// The directory.
    func directoryCheck(_ path: String) -> Check {
        let mount = "mount the storage that all hosts share there, or set disk_lease_dir"
        if let missing { return .failed(.leaseDirectory, "\(path) \(missing)", advice: mount) }
        guard let isDirectory else {
            if end == .died { return .notChecked(.leaseDirectory, "the look at it ended early", advice: "ask again") }
            return .failed(.leaseDirectory, "\(path) does not answer", advice: StorageFacts.lookAtIt)
        }
        if !isDirectory { return .failed(.leaseDirectory, "\(path) is no directory", advice: mount) }
        if isReadOnly == true {
            return .failed(.leaseDirectory, "\(path) is mounted read-only", advice: "mount it read-write")
        }
        if let notWritable {
            return .failed(
                .leaseDirectory, "\(path) is not writable (\(notWritable))",
                advice: "give this user the right to write there, or run as root")
        }
        return .ok(.leaseDirectory, path)
    }

    private static let lookAtIt =
        "look at the storage: is its server reachable, is it frozen? while it hangs sanlock can't renew, and guests are "
        + "ended"

    private var isUsable: Bool { directoryCheck("").state == .ok }

    /// Whether the storage answers, and can be used as sanlock has to.
    var storageCheck: Check {
        guard isUsable else { return .notChecked(.leaseStorage, "the lease directory can't be used") }
        if let notMade {
            return .failed(
                .leaseStorage, "no file can be made (\(notMade))", advice: "see to the file system's space and rights")
        }
        if let directFailure {
            return .failed(
                .leaseStorage, "a file can't be read and written past the cache (O_DIRECT: \(directFailure))",
                advice: "sanlock needs direct I/O: use a file system that has it, such as NFS, ext4 or XFS")
        }
        guard let directSeconds else {
            let step = step.map { " (\($0))" } ?? ""
            return .failed(.leaseStorage, "does not answer\(step)", advice: StorageFacts.lookAtIt)
        }
        let found = "direct write and read took \(directSeconds.secondsText)"
        if directSeconds > 1 {
            return .warning(.leaseStorage, found, advice: "that is slow: renewals that take too long end guests")
        }
        return .ok(.leaseStorage, found)
    }

    /// Whether file locks work, between hosts too.
    var locksCheck: Check {
        let use = "Leasehold's hosts order by them who makes and removes lease files"
        if let lockFailure {
            return .failed(
                .leaseLocks, "file locks don't work (\(lockFailure))", advice: "\(use); on NFS see to its lock service")
        }
        if hasLocks == false {
            return .failed(
                .leaseLocks, "a file lock keeps nobody away", advice: "\(use); use a file system that has them")
        }
        guard hasLocks != nil else { return .notChecked(.leaseLocks, "the storage can't be tried") }
        if let option = options.first(where: { $0 == "nolock" || $0 == "local_lock=all" || $0 == "local_lock=posix" }) {
            return .warning(
                .leaseLocks, "file locks stay on this host: it is mounted with \(option)",
                advice: "\(use): mount without \(option)")
        }
        return .ok(.leaseLocks, "file locks work")
    }

    /// Whether there is room for more leases.
    var spaceCheck: Check {
        guard magic != nil else { return .notChecked(.leaseSpace, "the lease directory can't be looked at") }
        guard let freeBytes else { return .ok(.leaseSpace, "the file system has no limit of its own") }
        let files = freeFiles.map { ", \($0) files" } ?? ""
        let found = "\(freeBytes >> 20) MiB\(files) free"
        let advice =
            "a new disk's lease takes 1 MiB (8 on sectors of 4096 bytes): make room, or leasehold lease cleanup"
        if freeBytes < 1 << 20 || freeFiles == 0 { return .failed(.leaseSpace, found, advice: advice) }
        if freeBytes < 32 << 20 || freeFiles.map({ $0 < 32 }) == true {
            return .warning(.leaseSpace, found, advice: advice)
        }
        return .ok(.leaseSpace, found)
    }

    /// Whether other hosts can see the directory.
    var fileSystemCheck: Check {
        guard let magic else { return .notChecked(.fileSystem, "the lease directory can't be looked at") }
        let name = kind ?? FileSystemKind.name(of: magic) ?? "unknown, number 0x\(String(magic, radix: 16))"
        switch FileSystemKind.reach(of: magic, kind: kind) {
        case .shared: return .ok(.fileSystem, "\(name), which hosts can share")
        case .unknown:
            return .warning(
                .fileSystem, "\(name): nothing is known of whether hosts share it",
                advice: "see that every host that uses these disks has the same directory there")
        case .local:
            return .warning(
                .fileSystem, "\(name) is local to this host: other hosts can't see its leases",
                advice: "mount storage there that all hosts share, unless this host alone uses its disks")
        }
    }
}
