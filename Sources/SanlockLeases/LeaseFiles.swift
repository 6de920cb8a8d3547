import Glibc
import Leases
import Platform

/// The files of the lease directory. One appears under its name only when it is whole: made aside, formatted by the
/// daemon, then linked.
struct LeaseFiles {
    let settings: SanlockSettings

    /// A lease or a lockspace is this large with sectors of 512 bytes.
    private static let bytesEach: off_t = 1 << 20

    /// Looks at the directory before anything else is asked, so that its absence is what the person hears of.
    func checkDirectory() throws(LeaseFailure) {
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
        guard Files.isWritableDirectory(path) else {
            throw LeaseFailure(
                .leaseFileNotMade,
                detail: "lease directory \(path) is not writable (\(SystemError.text(of: errno))); mount it writable, "
                    + "or give this user the right to write there")
        }
    }

    /// Makes the lockspace's file, unless it is there.
    func makeLockspace() throws(LeaseFailure) {
        try make(settings.lockspacePath, called: "the lockspace") { aside throws(SanlockCode) in
            try SanlockCalls.writeLockspace(
                LeaseName.lockspace, path: aside, ioTimeoutSeconds: settings.ioTimeoutSeconds)
        }
    }

    /// Makes the lease file of a disk, unless it is there.
    func makeLease(_ request: LeaseRequest) throws(LeaseFailure) {
        try make(request.resource.path, called: request.subject) { aside throws(SanlockCode) in
            var resource = request.resource
            resource.path = aside
            try SanlockCalls.writeResource(resource, hosts: settings.leaseHosts)
        }
    }

    private func make(
        _ path: String, called subject: String, format: (String) throws(SanlockCode) -> Void
    ) throws(LeaseFailure) {
        var refusal: SanlockCode?
        do throws(SystemError) {
            if try Files.kind(of: path) != nil { return }
            try Files.makeDirectory(settings.recordDirectory, mode: 0o755)
            removeAbandoned()
            let aside = try makeAside()
            defer { try? Files.remove(aside) }
            do throws(SanlockCode) { try format(aside) } catch { refusal = error }
            // Where another host was faster, its file is as good as ours.
            if refusal == nil { _ = try Files.link(aside, as: path) }
        } catch {
            throw LeaseFailure(
                .leaseFileNotMade,
                detail: "lease file \(path) for \(subject) can't be made: \(error.message); free some space, or see to "
                    + "the directory's rights")
        }
        if let refusal {
            throw LeaseFailure(
                .leaseFileNotMade,
                detail: "lease file \(path) for \(subject) can't be formatted by the sanlock daemon "
                    + "(\(refusal.symbol)); if it runs as another user, set user and group to the daemon's")
        }
    }

    // What a start of this host that was ended at it had made aside.
    private func removeAbandoned() {
        let prefix = "new.\(settings.hostId ?? 0)."
        for name in (try? Files.names(in: settings.recordDirectory)) ?? [] where name.utf8.starts(with: prefix.utf8) {
            let pid = name.dropFirst(prefix.count).prefix { $0 != "." }
            guard let pid = Int32(pid), pid != getpid(), ProcessIdentity(runningAs: pid) == nil else { continue }
            try? Files.remove("\(settings.recordDirectory)/\(name)")
        }
    }

    // Reserving the whole size shows a full file system here, in a name, and not in the daemon as an I/O error.
    private func makeAside() throws(SystemError) -> String {
        let path =
            "\(settings.recordDirectory)/new.\(settings.hostId ?? 0).\(getpid()).\(UInt32.random(in: 0...(.max)))"
        let file = try Files.open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o660)
        do throws(SystemError) {
            let failure = posix_fallocate(file.number, 0, LeaseFiles.bytesEach)
            if failure != 0 { throw SystemError("fallocate", on: path, number: failure) }
            try Files.changeMode(of: file, to: 0o660)
            if settings.fileUser != nil || settings.fileGroup != nil {
                try Files.changeOwner(of: file, user: settings.fileUser, group: settings.fileGroup)
            }
        } catch {
            try? Files.remove(path)
            throw error
        }
        return path
    }
}
