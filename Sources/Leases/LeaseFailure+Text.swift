extension LeaseFailure {
    /// A daemon that takes connections and says nothing.
    public static var daemonSilent: LeaseFailure {
        LeaseFailure(
            .daemonUnreachable,
            detail:
                "the sanlock daemon does not answer; see whether it is stopped or its storage hangs (sanlock client status)"
        )
    }

    /// Whether somebody waits for a busy lease.
    public enum Patience: Sendable {
        /// Not yet.
        case none
        /// He did.
        case over
        /// It can't be waited for.
        case unknown

        fileprivate var advice: String? {
            switch self {
            case .none: "--wait"
            case .over: "wait longer"
            case .unknown: nil
            }
        }
    }

    /// Why, for a person: the disk, who holds it, the code, and what to do.
    ///
    /// - Parameter patience: what can be said about waiting for it.
    public func reason(_ patience: Patience) -> String {
        guard let request else { return detail }
        let subject = request.subject
        let advice = (["stop it there"] + [patience.advice].compactMap { $0 }).joined(separator: ", or ")
        switch outcome {
        case .heldElsewhere, .heldWithoutRecord:
            let name = holder?.description ?? "a holder that can't be told"
            let doubt = holder?.liveness == .unknown ? ", of which it can't be told yet whether it lives" : ""
            return "\(subject) is held by \(name)\(doubt) (\(symbol)); \(advice)"
        case .deadNotExpired:
            let name = holder?.description ?? "a host"
            let when = holder?.freeWithinSeconds.map { "in at most \(Int($0.rounded(.up))) s" } ?? "later"
            return "\(subject) was held by \(name), which is dead; it can be had \(when) (\(symbol))"
                + (patience.advice.map { "; \($0)" } ?? "")
        case .beingReleased:
            return "\(subject) is being taken or released this moment (\(symbol)); try again"
        case .orphaned, .sameDevice, .wrongVersion, .lockspaceGone, .hostIdInUse, .leaseFileMissing,
            .leaseFileUnusable, .leaseFileNotMade, .hostIdTooLarge, .daemonUnreachable, .storageFailed,
            .notPermitted, .configurationWrong, .other:
            return "\(subject): \(detail)"
        }
    }

    // What stands in the last brackets of the detail.
    private var symbol: String {
        guard let open = detail.lastIndex(of: "("), detail.hasSuffix(")") else { return detail }
        return String(detail[detail.index(after: open)...].dropLast())
    }
}
