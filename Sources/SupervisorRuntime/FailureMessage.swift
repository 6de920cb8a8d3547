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
        case .leases(let failure): failure.reason(waited ? .over : .none)
        case .leaseManagerSilent: LeaseFailure.daemonSilent.detail
        case .program(let step, let number):
            step == "exec"
                ? "\(executable): \(SystemError.text(of: number)); see to the command's path and rights"
                : "the guest's process could not be made (\(step): \(SystemError.text(of: number)))"
        case .keeperDied: "its keeper was killed before it ran"
        case .interrupted: "interrupted before it ran"
        }
    }
}
