import Glibc
import Leases
import Platform

/// The files of the lease directory. One appears under its name only when it is whole: made aside, formatted by the
/// daemon, then renamed to where nothing is; or over one that sanlock refuses and that shows no holder.
struct LeaseFiles {
    let settings: SanlockSettings

    /// A file to be made: what for, and how the daemon formats it.
    struct Wanted {
        /// Where it is to be.
        let path: String
        /// What a person calls it: `lease file PATH for DISK`.
        let subject: String
        /// Formats the file at a path.
        let format: (String, LockspaceSlots.Sizes) throws(SanlockCode) -> Void
    }

    /// The lockspace.
    var lockspace: Wanted {
        let ioTimeoutSeconds = settings.ioTimeoutSeconds
        return Wanted(path: settings.lockspacePath, subject: "lockspace file \(settings.lockspacePath)") {
            aside, sizes throws(SanlockCode) in
            try SanlockCalls.writeLockspace(
                LeaseName.lockspace, path: aside, sizes: sizes, ioTimeoutSeconds: ioTimeoutSeconds)
        }
    }

    /// The lease of a disk.
    func lease(_ request: LeaseRequest) -> Wanted {
        Wanted(path: request.resource.path, subject: "lease file \(request.resource.path) for \(request.subject)") {
            aside, sizes throws(SanlockCode) in
            var resource = request.resource
            resource.path = aside
            try SanlockCalls.writeResource(resource, sizes: sizes, hosts: Int32(hosts()))
            try LeaseVersions(settings: settings).begin(aside)
        }
    }

    /// For how many hosts a lease is made: also for those that are there already, whatever the setting says.
    func hosts() -> Int {
        let highest = LockspaceSlots.all(in: settings.lockspacePath).map(\.hostId).max() ?? 0
        let wanted = max(UInt64(settings.leaseHosts), highest, settings.hostId ?? 0)
        return Int(min(wanted, UInt64(LockspaceSlots.mostHosts)))
    }

    // MARK: - The directory

    /// Looks at the directory before anything else is asked, so that its absence is what the person hears of.
    func checkDirectory() throws(LeaseFailure) {
        try checkPresence()
        let path = settings.leaseDirectory
        guard Files.isWritableDirectory(path) else {
            throw LeaseFailure(
                .leaseFileNotMade,
                detail: "lease directory \(path) is not writable (\(SystemError.text(of: errno))); mount it writable, "
                    + "or give this user the right to write there")
        }
    }

    /// Only whether it is there.
    func checkPresence() throws(LeaseFailure) {
        let path = settings.leaseDirectory
        let kind: Files.Kind?
        do throws(SystemError) { kind = try Files.kind(of: path) } catch {
            throw LeaseFailure(.leaseFileNotMade, detail: "lease directory \(error.message)")
        }
        guard let kind else {
            throw LeaseFailure(
                .leaseFileNotMade, detail: "lease directory \(path) is missing; mount it, or set disk_lease_dir")
        }
        guard kind.isDirectory else {
            throw LeaseFailure(.leaseFileNotMade, detail: "lease directory \(path) is no directory; set disk_lease_dir")
        }
    }

    /// The source of a migration has the lease, so its file is there, where both have the same directory.
    func missingAtTarget(_ request: LeaseRequest) -> LeaseFailure {
        LeaseFailure(
            .leaseFileMissing, request: request,
            detail:
                "lease file \(request.resource.path) is missing; see that this host has the source's lease directory mounted"
        )
    }

    /// A lease file has no slot for this host's id: which file, for how many, and the way out.
    func hostIdTooLarge(_ request: LeaseRequest, _ code: SanlockCode) -> LeaseFailure {
        let path = request.resource.path
        let block = Int64(request.resource.offsetBytes) & ~4095
        let bytes = (try? SharedFile.read(path, offset: block, count: 4096)) ?? []
        var most = "fewer hosts"
        if case .whole(let leader) = LeaseContent(bytes[...], isCutShort: false) {
            most = "host ids up to \(leader.hosts)"
        }
        let own = settings.hostId.map { "host id \($0)" } ?? "this host's id"
        return LeaseFailure(
            code.outcome, request: request,
            detail:
                "lease file \(path) has room for \(most), not for \(own) (\(code.symbol)); run leasehold lease grow "
                + "'\(request.subject)' on a host whose id fits")
    }

    /// The file whose bytes are the sections' locks.
    func sectionLock() throws(SystemError) -> RangeLock {
        let path = "\(settings.recordDirectory)/lock"
        if try Files.kind(of: path) == nil {
            try makeRecordDirectory()
            let aside = asidePath()
            _ = try create(aside)
            defer { try? Files.remove(aside) }
            _ = try Files.rename(aside, toFree: path)
        }
        return try RangeLock(on: path, mode: 0o660)
    }

    func makeRecordDirectory() throws(SystemError) {
        try Files.makeDirectory(settings.recordDirectory, mode: 0o755)
    }

    /// Whether nothing has a lease's path.
    func isMissing(_ request: LeaseRequest) -> Bool {
        ((try? Files.kind(of: request.resource.path)) ?? nil) == nil
    }

    // MARK: - Making

    /// Makes a file, unless something has its name.
    func make(_ wanted: Wanted) throws(LeaseFailure) {
        do throws(SystemError) {
            if try Files.kind(of: wanted.path) != nil { return }
            try makeRecordDirectory()
        } catch {
            throw notMade(wanted, error)
        }
        let aside = try makeAside(wanted)
        defer { try? Files.remove(aside) }
        do throws(SystemError) {
            // Where another host was faster, its file is as good as ours.
            if try !Files.rename(aside, toFree: wanted.path), try Files.kind(of: wanted.path) == nil {
                throw SystemError("a symbolic link that leads nowhere", on: wanted.path, number: 0)
            }
        } catch {
            throw notMade(wanted, error)
        }
    }

    /// Makes a whole file aside, and returns its path.
    func makeAside(_ wanted: Wanted) throws(LeaseFailure) -> String {
        removeAbandoned()
        let aside = asidePath()
        let sizes: LockspaceSlots.Sizes
        do throws(SystemError) { sizes = try fill(aside) } catch { throw notMade(wanted, error) }
        do throws(SanlockCode) { try wanted.format(aside, sizes) } catch {
            try? Files.remove(aside)
            throw LeaseFailure(
                .leaseFileNotMade,
                detail:
                    "\(wanted.subject) can't be formatted by the sanlock daemon (\(error.symbol)); see that its user "
                    + "may use the directory, and that the file system does direct I/O")
        }
        return aside
    }

    func notMade(_ wanted: Wanted, _ error: SystemError) -> LeaseFailure {
        LeaseFailure(
            .leaseFileNotMade,
            detail: "\(wanted.subject) can't be made: \(error.message); free some space, or see to the directory's "
                + "rights")
    }

    /// A name for a file that is being made; found again by `removeAbandoned`.
    func asidePath() -> String {
        let mark = "\(LeaseFiles.boot)\(UInt32.random(in: 0...(.max)))"
        return "\(settings.recordDirectory)/new.\(settings.hostId ?? 0).\(getpid()).\(mark)"
    }

    // Reserving the whole size shows a full file system here, in a name, and not in the daemon as an I/O error.
    private func fill(_ path: String) throws(SystemError) -> LockspaceSlots.Sizes {
        let file = try create(path)
        do throws(SystemError) {
            try reserve(file, path, LockspaceSlots.Sizes.usual.alignBytes)
            // A lease goes with its lockspace; a lockspace with what the storage can do.
            let sizes =
                LockspaceSlots.sizes(in: settings.lockspacePath)
                ?? (Files.writesDirectly(path, granularityBytes: 512) ? .usual : .large)
            try reserve(file, path, sizes.alignBytes)
            return sizes
        } catch {
            try? Files.remove(path)
            throw error
        }
    }

    private func reserve(_ file: borrowing Descriptor, _ path: String, _ bytes: Int) throws(SystemError) {
        let failure = posix_fallocate(file.number, 0, off_t(bytes))
        if failure != 0 { throw SystemError("fallocate", on: path, number: failure) }
    }

    /// Makes an empty file that the daemon may use.
    private func create(_ path: String) throws(SystemError) -> Descriptor {
        let flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW
        let file = try Files.open(path, flags, mode: 0o660)
        do throws(SystemError) {
            try Files.changeMode(of: file, to: 0o660)
            let daemon = settings.fileUser == nil || settings.fileGroup == nil ? DaemonProcess() : nil
            let kind = try Files.kind(of: file)
            let user = settings.fileUser ?? daemon?.user ?? kind.user
            let group = settings.fileGroup ?? daemon?.group ?? kind.group
            if user == kind.user, group == kind.group { return file }
            do throws(SystemError) {
                try Files.changeOwner(of: file, user: user, group: group)
                return file
            } catch {
                // Storage on which root is nobody: what can't be given away may be made as its owner in the first place.
                guard error.number == EPERM || error.number == EACCES || error.number == EINVAL else { throw error }
                let own = "\(path).own"
                guard let second = try? Files.open(own, flags, mode: 0o660, asUser: user, group: group) else {
                    // Whether the daemon can use it as it is, it says itself.
                    return file
                }
                try Files.rename(own, to: path)
                try? Files.changeMode(of: second, to: 0o660)
                return second
            }
        } catch {
            try? Files.remove(path)
            throw error
        }
    }

    private static let boot = "\((Boot.id ?? "none").prefix(8))-"

    // What a start of this host that was ended at it had made aside.
    private func removeAbandoned() {
        let prefix = "new.\(settings.hostId ?? 0)."
        for name in (try? Files.names(in: settings.recordDirectory)) ?? [] where name.utf8.starts(with: prefix.utf8) {
            let parts = name.dropFirst(prefix.count).split(separator: ".")
            // Of this boot of this host, whoever else has its id.
            guard parts.count == 2, parts[1].hasPrefix(LeaseFiles.boot), let pid = Int32(parts[0]), pid != getpid(),
                ProcessIdentity(runningAs: pid) == nil
            else { continue }
            try? Files.remove("\(settings.recordDirectory)/\(name)")
        }
    }
}
