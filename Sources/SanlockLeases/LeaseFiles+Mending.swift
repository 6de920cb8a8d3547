import Glibc
import Leases
import Platform

// What is broken is never written to: a whole new file is put in its place, by whoever has its section.
extension LeaseFiles {
    /// Puts a new file in the place of one that sanlock refuses as too short or not formatted, if nothing was ever held
    /// through it. Blocks until it is old enough that nobody can be about to format it.
    ///
    /// - Parameters:
    ///   - section: that the caller has the file's section.
    ///   - refusal: sanlock's refusal of the file, asked for once more; nil where it takes it now.
    func mend(
        _ wanted: Wanted, holding section: borrowing LeaseSection, progress: (LeaseProgress) -> Void,
        refusal: () -> SanlockCode?
    ) throws(LeaseFailure) {
        guard refusal()?.isUnformatted == true else { return }
        let aside = try makeAside(wanted)
        defer { try? Files.remove(aside) }
        let madeAt = Clock.monotonicSeconds()
        var damage: LeaseFailure?
        do throws(SystemError) {
            guard let new = try Files.kind(of: aside) else { return }
            while let old = try Files.kind(of: wanted.path) {
                // By the storage's own clock, whichever host wrote it.
                let storageNow = new.changedSeconds + Clock.monotonicSeconds() - madeAt
                let waitingSeconds = old.changedSeconds + graceSeconds - storageNow
                if waitingSeconds > 0 {
                    progress(
                        LeaseProgress(
                            "\(wanted.subject) is not formatted; another program may be about to",
                            secondsAtMost: min(waitingSeconds, graceSeconds)))
                    usleep(UInt32(min(waitingSeconds, 0.25) * 1e6))
                }
                guard let code = refusal(), code.isUnformatted else { return }
                // What somebody may be writing this moment is neither broken nor damaged yet.
                if waitingSeconds > 0 { continue }
                damage = self.damage(of: wanted, code)
                if damage != nil { break }
                if try Files.kind(of: wanted.path)?.inode != old.inode { continue }
                return try Files.rename(aside, to: wanted.path)
            }
        } catch {
            throw notMade(wanted, error)
        }
        if let damage { throw damage }
    }

    // libvirt makes a file under its name, empty at first, and has the daemon format whatever is under that name some
    // milliseconds later: a file of ours that got there in between would be formatted while it is held.
    private var graceSeconds: Double {
        max(2, 2 * settings.ioSeconds)
    }

    /// Looks at what sanlock refuses, and says why it must not be replaced; nil where it may be.
    private func damage(of wanted: Wanted, _ code: SanlockCode) -> LeaseFailure? {
        do throws(SystemError) {
            guard let kind = try Files.kind(of: wanted.path) else { return nil }
            guard kind.isRegular else { throw SystemError.notRegular(wanted.path) }
            let most = LockspaceSlots.Sizes.large.alignBytes
            let bytes = try SharedFile.read(wanted.path, offset: 0, count: most)
            let isLockspace = wanted.path == settings.lockspacePath
            return LeaseFiles.problem(bytes[...], isLockspace: isLockspace, code).map {
                LeaseFailure(.leaseFileUnusable, detail: "\(wanted.subject) \($0) (\(code.symbol))")
            }
        } catch {
            return LeaseFailure(.leaseFileUnusable, detail: "\(wanted.subject): \(error.message)")
        }
    }

    private static func problem(_ bytes: ArraySlice<UInt8>, isLockspace: Bool, _ code: SanlockCode) -> String? {
        if isLockspace {
            return LockspaceSlots.isUnmade(bytes)
                ? nil : "is damaged; when no host of it runs a guest, remove it: the next start makes a new one"
        }
        switch LeaseContent(bytes, isCutShort: code.number == -EMSGSIZE) {
        case .unmade: return nil
        case .damaged(let words): return words
        case .whole: return "is refused by sanlock"
        }
    }
}
