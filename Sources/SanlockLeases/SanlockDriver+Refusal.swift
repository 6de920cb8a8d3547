import Glibc
import Leases
import Platform

// What a refusal means: who holds the lease, and what to do.
extension SanlockDriver {
    func failure(_ refused: RefusedLease) -> LeaseFailure {
        let request = refused.request
        let code = refused.code
        switch code.outcome {
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
        case .orphaned, .sameDevice, .wrongVersion, .hostIdInUse, .leaseFileNotMade, .daemonUnreachable,
            .storageFailed, .configurationWrong, .other:
            return LeaseFailure(code.outcome, request: request, detail: code.explanation)
        }
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
