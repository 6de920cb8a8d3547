import Leases
import Platform
import Supervision

/// The one line that a start which failed ends in: what was tried, on what, why, and what to do.
enum FailureMessage {
    static func text(_ failure: StartFailure, guest: String, executable: String, waited: Bool) -> String {
        "can't start \(guest): \(reason(failure, executable, waited))"
    }

    private static func reason(_ failure: StartFailure, _ executable: String, _ waited: Bool) -> String {
        switch failure {
        case .leases(let failure): reason(failure, waited)
        case .leaseManagerSilent:
            "the sanlock daemon does not answer; see whether it is stopped or its storage hangs (sanlock client status)"
        case .program(let step, let number):
            step == "exec"
                ? "\(executable): \(SystemError.text(of: number)); see to the command's path and rights"
                : "the guest's process could not be made (\(step): \(SystemError.text(of: number)))"
        case .interrupted: "interrupted before it ran"
        }
    }

    private static func reason(_ failure: LeaseFailure, _ waited: Bool) -> String {
        guard let request = failure.request else { return failure.detail }
        let subject = request.subject
        let advice = waited ? "stop it there, or wait longer" : "stop it there, or --wait"
        switch failure.outcome {
        case .heldElsewhere, .heldWithoutRecord:
            let holder = failure.holder?.description ?? "a holder that can't be told"
            let doubt =
                failure.holder?.liveness == .unknown ? ", of which it can't be told yet whether it lives" : ""
            return "\(subject) is held by \(holder)\(doubt) (\(symbol(failure))); \(advice)"
        case .deadNotExpired:
            let holder = failure.holder?.description ?? "a host"
            let when = failure.holder?.freeWithinSeconds.map { "in at most \(Int($0.rounded(.up))) s" } ?? "later"
            return "\(subject) was held by \(holder), which is dead; it can be had \(when) (\(symbol(failure))); --wait"
        case .beingReleased:
            return "\(subject) is still being released (\(symbol(failure))); try again"
        case .orphaned, .sameDevice, .wrongVersion, .lockspaceGone, .hostIdInUse, .leaseFileMissing, .leaseFileUnusable,
            .leaseFileNotMade, .hostIdTooLarge, .daemonUnreachable, .storageFailed, .notPermitted,
            .configurationWrong, .other:
            return "\(subject): \(failure.detail)"
        }
    }

    // What stands in the last brackets of the detail.
    private static func symbol(_ failure: LeaseFailure) -> String {
        guard let open = failure.detail.lastIndex(of: "("), failure.detail.hasSuffix(")") else { return failure.detail }
        return String(failure.detail[failure.detail.index(after: open)...].dropLast())
    }
}
