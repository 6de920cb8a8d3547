import Glibc
import Leases
import Platform

// What a refusal means: who holds the lease, and what to do.
extension SanlockDriver {
    /// - Parameter wanted: the version that it was to have.
    func failure(_ refused: RefusedLease, wanted: UInt64? = nil) -> LeaseFailure {
        let request = refused.request
        let code = refused.code
        switch code.outcome {
        case .wrongVersion:
            return wrongVersion(request, code, wanted)
        case .heldElsewhere, .heldWithoutRecord, .deadNotExpired, .beingReleased:
            let isLocal = code.number == -EEXIST
            var holder = owners.holder(of: request, isLocal: isLocal)
            // A daemon that joined a moment ago hasn't even watched itself.
            if isLocal, holder?.hostId == settings.hostId { holder?.liveness = .live }
            return LeaseFailure(
                busyOutcome(code, holder), request: request, holder: holder, detail: code.explanation)
        case .leaseFileUnusable:
            let failure = LeaseFailure(
                code.outcome, request: request, detail: "lease file \(request.resource.path): \(code.explanation)")
            return request.disk == nil || code.isOfNoFile ? failure : advisingRepair(failure, request)
        case .hostIdTooLarge:
            return files.hostIdTooLarge(request, code)
        case .leaseFileMissing, .notPermitted:
            return LeaseFailure(
                code.outcome, request: request, detail: "lease file \(request.resource.path): \(code.explanation)")
        case .lockspaceGone:
            return LeaseFailure(
                code.outcome, request: request,
                detail: "lockspace \(request.resource.lockspace): \(code.explanation); join it first")
        case .orphaned, .sameDevice, .hostIdInUse, .leaseFileNotMade, .daemonUnreachable,
            .storageFailed, .configurationWrong, .other:
            return LeaseFailure(code.outcome, request: request, detail: code.explanation)
        }
    }

    // Whoever had it last stands in the lease's first sector, also when he has given it back.
    private func wrongVersion(_ request: LeaseRequest, _ code: SanlockCode, _ wanted: UInt64?) -> LeaseFailure {
        let bytes = try? SharedFile.read(
            request.resource.path, offset: Int64(clamping: request.resource.offsetBytes), count: 4096)
        var failure = LeaseFailure(code.outcome, request: request, detail: code.explanation)
        guard let bytes, case .whole(let leader) = LeaseContent(bytes[...], isCutShort: false), leader.ownerId != 0
        else { return failure }
        let now = owners.holder(of: request)
        var holder = now ?? LeaseHolder()
        if now == nil {
            holder.hostId = leader.ownerId
            holder.hostName = owners.hostName(of: leader.ownerId, for: request)
            holder.liveness =
                owners.watch.look(at: request.resource.lockspace)[leader.ownerId]?.state == .live ? .live : .unknown
        }
        failure.holder = holder
        let name = now?.description ?? "\(holder.hostName.map { "host \($0) " } ?? "")(host id \(leader.ownerId))"
        let versions = wanted.map { "version \(leader.version), and was given back as version \($0)" }
        failure.detail =
            "\(name) \(now == nil ? "had" : "has") it since: it is of \(versions ?? "another version") (\(code.symbol))"
        return failure
    }

    private func busyOutcome(_ code: SanlockCode, _ holder: LeaseHolder?) -> LeaseOutcome {
        // Nobody owns it any more: it got free since.
        guard let holder else { return .beingReleased }
        if holder.hostId == settings.hostId {
            // A supervisor of this host that is gone leaves a guest that is being killed, and a lease about to be free.
            // What sanlock is releasing or adding this moment it says so, other than of a lease that is held.
            if code.outcome == .beingReleased || holder.pid.map(ProcessIdentity.isEnding) ?? false {
                return .beingReleased
            }
        }
        if holder.liveness == .dead { return .deadNotExpired }
        return holder.record == .missing ? .heldWithoutRecord : .heldElsewhere
    }

    func advisingRepair(_ failure: LeaseFailure, _ request: LeaseRequest) -> LeaseFailure {
        var failure = failure
        failure.request = request
        failure.detail +=
            "; once no guest on any host uses the disk, leasehold lease repair '\(request.subject)' "
            + "--i-know-nobody-uses-it makes a new one"
        return failure
    }
}
