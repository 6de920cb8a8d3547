import ControlProtocol

/// What was found out about one thing of this host.
public struct Check: Equatable, Sendable {
    /// The things that are looked at, in the order in which they are told.
    public enum Name: String, CaseIterable, Sendable {
        case supervisorProgram, runDirectory, leftovers, guestUsers, diskPaths, memoryLock, clock
        case daemon, daemonLimits, watchdog
        case leaseDirectory, leaseRights, leaseStorage, leaseLocks, leaseSpace, fileSystem
        case lockspaceFile, leaseFiles, hostId, lockspace
    }

    /// How it stands.
    public enum State: String, CaseIterable, Sendable {
        /// As it should be.
        case ok
        /// Guests run, with less protection or foreseeable trouble.
        case warning
        /// Guests can't be started, or lose their leases.
        case failed
        /// An earlier failure makes it impossible to say.
        case notChecked
    }

    /// What was looked at.
    public let name: Name
    /// How it stands.
    public let state: State
    /// What was found: one line, without a full stop.
    public let found: String
    /// What to do about it; nil where there is nothing to do.
    public let advice: String?
    /// Whether it is the configuration that has to be changed.
    public let isOfSettings: Bool

    private init(_ name: Name, _ state: State, _ found: String, advice: String?, isOfSettings: Bool = false) {
        self.name = name
        self.state = state
        self.found = found
        self.advice = advice
        self.isOfSettings = isOfSettings
    }

    static func ok(_ name: Name, _ found: String) -> Check { Check(name, .ok, found, advice: nil) }

    static func warning(_ name: Name, _ found: String, advice: String) -> Check {
        Check(name, .warning, found, advice: advice)
    }

    static func failed(_ name: Name, _ found: String, advice: String, isOfSettings: Bool = false) -> Check {
        Check(name, .failed, found, advice: advice, isOfSettings: isOfSettings)
    }

    static func notChecked(_ name: Name, _ reason: String, advice: String? = nil) -> Check {
        Check(name, .notChecked, reason, advice: advice)
    }

    /// The check for programs.
    public var json: JSON {
        var object = JSON.Object()
        object["name"] = .string(name.rawValue)
        object["state"] = .string(state.rawValue)
        object["found"] = .string(found)
        object["advice"] = advice.map(JSON.string)
        return .object(object)
    }
}

/// All checks of a host.
public struct HostReport: Sendable {
    /// One of each name, in their order.
    public let checks: [Check]

    /// Whether anything failed.
    public var failed: [Check] { checks.filter { $0.state == .failed } }

    /// How many checks came to a state.
    public func count(_ state: Check.State) -> Int { checks.count { $0.state == state } }

    /// The report for programs.
    public var json: JSON {
        var summary = JSON.Object()
        for state in Check.State.allCases { summary[state.rawValue] = .integer(Int64(count(state))) }
        var object = JSON.Object()
        object["checks"] = .array(checks.map(\.json))
        object["summary"] = .object(summary)
        return .object(object)
    }
}

extension Double {
    /// Whole seconds with their unit; what is below one in milliseconds.
    var secondsText: String { self < 1 ? "\(Int(self * 1000)) ms" : "\(Int(self)) s" }
}

extension Int {
    /// So many of something.
    func of(_ noun: String) -> String { "\(self) \(noun)\(self == 1 ? "" : "s")" }
}

extension Array<String> {
    /// The first few of many, and how many more there are.
    func few(_ count: Int = 3) -> String {
        let more = self.count - count
        return prefix(count).joined(separator: ", ") + (more > 0 ? " and \(more) more" : "")
    }
}
