import Configuration
import Logging

/// The supervisor's own options, as the command line has them. Read by hand: this program starts once a guest, and a
/// library that reads options costs it 3 ms and 2 MB (docs/decisions/supervisor-options.md).
struct SupervisorOptions {
    enum Driver: String, CaseIterable {
        case sanlock
        case nop
    }

    enum Disk: Equatable {
        case exclusive(String)
        case shared(String)
        case readonly(String)
    }

    var name: String?
    var uuid: String?
    var id: Int?
    var disks: [Disk] = []
    var leases: [String] = []
    var readsDisks = true
    var driver = Driver.sanlock
    var configurationFile: String?
    var waitSeconds: Double?
    var onLeaseLoss: OnLeaseLoss?
    var monitorPath: String?
    var isIncoming = false
    var stopTimeoutSeconds: Double?
    var detaches = false
    var readyDescriptor: Int32?
    var pidFile: String?
    var supervisorPidFile: String?
    var logLevel = Logger.Level.warning
    var logsJSON = false
    var logFile: String?
    var showsHelp = false
    var showsVersion = false
    var command: [String] = []

    /// What is wrong with the command line, and what is allowed.
    struct Problem: Error {
        let text: String
    }

    init(_ arguments: [String], callerDescriptors: [Int32]) throws(Problem) {
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--" {
                command = Array(rest)
                break
            }
            guard argument.utf8.starts(with: "--".utf8) else {
                throw Problem(text: "'\(argument)' is no option; put -- in front of the command")
            }
            let halves = argument.utf8.split(
                separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            let option = String(decoding: halves[0], as: UTF8.self)
            let attached = halves.count > 1 ? String(decoding: halves[1], as: UTF8.self) : nil
            if try setFlag(option, attached) { continue }
            guard SupervisorOptions.withValue.contains(option) else { throw SupervisorOptions.unknown(option) }
            guard let value = attached ?? rest.popFirst(), attached != nil || value != "--" else {
                throw Problem(text: "\(option) needs a value")
            }
            try set(option, value)
        }
        guard !command.isEmpty || showsHelp || showsVersion else {
            throw Problem(text: "no command to run; give it after --")
        }
        if let number = readyDescriptor, number <= 2 || !callerDescriptors.contains(number) {
            throw Problem(text: "--ready-fd \(number) is no open descriptor above 2")
        }
    }

    /// The descriptor that waits for a line, in a command line that can't be read as a whole.
    static func readyDescriptor(in arguments: [String], among callerDescriptors: [Int32]) -> Int32? {
        let option = "--ready-fd"
        let own = arguments.prefix { $0 != "--" }
        var last: Int32?
        for (index, argument) in own.enumerated() {
            let value =
                argument == option
                ? own.dropFirst(index + 1).first
                : argument.hasPrefix("\(option)=") ? String(argument.dropFirst(option.count + 1)) : nil
            if let number = value.flatMap({ Int32($0) }) { last = number }
        }
        return last.flatMap { $0 > 2 && callerDescriptors.contains($0) ? $0 : nil }
    }

    private static let withValue: Set<String> = [
        "--name", "--uuid", "--id", "--disk", "--shared-disk", "--readonly-disk", "--lease", "--driver", "--config",
        "--wait", "--on-lease-loss", "--qmp", "--user", "--group", "--stop-timeout", "--ready-fd", "--pid-file",
        "--supervisor-pid-file", "--log-level", "--log-format", "--log-file",
    ]

    private mutating func setFlag(_ option: String, _ value: String?) throws(Problem) -> Bool {
        switch option {
        case "--no-auto-disks": readsDisks = false
        case "--detach": detaches = true
        case "--help": showsHelp = true
        case "--version": showsVersion = true
        case "--incoming": isIncoming = true
        default: return false
        }
        if value != nil { throw Problem(text: "\(option) takes no value") }
        return true
    }

    private mutating func set(_ option: String, _ value: String) throws(Problem) {
        if value.isEmpty { throw Problem(text: "\(option) needs a value that isn't empty") }
        switch option {
        case "--name": name = value
        case "--uuid": uuid = try SupervisorOptions.uuid(value)
        case "--id": id = try number(option, value, 0...Int(Int32.max))
        case "--disk": disks.append(.exclusive(value))
        case "--shared-disk": disks.append(.shared(value))
        case "--readonly-disk": disks.append(.readonly(value))
        case "--lease": leases.append(value)
        case "--driver": driver = try choice(option, value)
        case "--config": configurationFile = value
        case "--wait": waitSeconds = try seconds(option, value)
        case "--on-lease-loss": onLeaseLoss = try lossPolicy(option, value)
        case "--qmp": monitorPath = value
        case "--stop-timeout": stopTimeoutSeconds = try seconds(option, value)
        case "--ready-fd": readyDescriptor = Int32(try number(option, value, 0...Int(Int32.max)))
        case "--pid-file": pidFile = value
        case "--supervisor-pid-file": supervisorPidFile = value
        case "--log-level":
            guard let level = Logger.Level(rawValue: value) else {
                let names = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
                throw Problem(text: "\(option) '\(value)' is none of \(names)")
            }
            logLevel = level
        case "--log-format":
            guard value == "text" || value == "json" else {
                throw Problem(text: "\(option) '\(value)' is none of text, json")
            }
            logsJSON = value == "json"
        case "--log-file": logFile = value
        default: throw SupervisorOptions.unavailable(option)
        }
    }

    private func number(_ option: String, _ value: String, _ range: ClosedRange<Int>) throws(Problem) -> Int {
        guard value.allSatisfy({ $0.isASCII && $0.isNumber }), let number = Int(value), range.contains(number) else {
            throw Problem(text: "\(option) '\(value)' is no number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    private func seconds(_ option: String, _ value: String) throws(Problem) -> Double {
        guard let seconds = parseDuration(value) else {
            throw Problem(text: "\(option) '\(value)' is no duration such as 30s, 2m or 500ms")
        }
        return seconds
    }

    private func choice(_ option: String, _ value: String) throws(Problem) -> Driver {
        guard let driver = Driver(rawValue: value) else {
            let names = Driver.allCases.map(\.rawValue).joined(separator: ", ")
            throw Problem(text: "\(option) '\(value)' is none of \(names)")
        }
        return driver
    }

    private func lossPolicy(_ option: String, _ value: String) throws(Problem) -> OnLeaseLoss {
        guard let policy = OnLeaseLoss(rawValue: value) else {
            throw Problem(text: "\(option) '\(value)' is none of poweroff, pause")
        }
        return policy
    }

    private static func uuid(_ value: String) throws(Problem) -> String {
        let groups = value.split(separator: "-", omittingEmptySubsequences: false)
        guard groups.map(\.utf8.count) == [8, 4, 4, 4, 12], groups.allSatisfy({ $0.allSatisfy(\.isHexDigit) }),
            value.allSatisfy(\.isASCII)
        else { throw Problem(text: "--uuid '\(value)' is no UUID of the form 01234567-89ab-cdef-0123-456789abcdef") }
        return value
    }

    private static func unknown(_ option: String) -> Problem {
        Problem(text: "unknown option \(option); see --help, and put -- in front of the command")
    }

    private static func unavailable(_ option: String) -> Problem {
        Problem(text: "\(option) is not available in this version")
    }

    static let help = """
        Usage: leasehold run [OPTION…] -- COMMAND [ARG…]
               leasehold-supervisor [OPTION…] -- COMMAND [ARG…]

        Runs COMMAND, usually a QEMU, while this host holds the sanlock lease of every disk that it can write.

          --name NAME, --uuid UUID, --id N   who the guest is (from the command's -name and -uuid)
          --disk PATH                        a disk that the guest writes, on top of those in the command
          --shared-disk PATH                 a disk that several guests write
          --readonly-disk PATH               a disk that the guest only reads: no lease
          --lease LOCKSPACE:RESOURCE:PATH:OFFSET[:SH]
                                             a lease, in sanlock's own spelling
          --no-auto-disks                    take no disks from the command
          --driver sanlock|nop               where leases come from (sanlock)
          --config FILE                      settings (/etc/leasehold/leasehold.conf)
          --wait DURATION                    how long to wait for a busy lease: 30s, 2m (0: fail at once)
          --on-lease-loss poweroff|pause     what is done when the leases are lost (poweroff); pause needs --qmp
          --qmp PATH                         a QMP socket that the guest opens for the supervisor alone
          --incoming                         load the guest stopped, for migrate in to take its leases and let it run;
                                             needs --qmp (on where the command has -incoming)
          --stop-timeout DURATION            from SIGTERM to SIGKILL when stopping (30s)
          --detach                           return once the guest runs, and print one JSON line
          --ready-fd N                       write that line to descriptor N
          --pid-file PATH, --supervisor-pid-file PATH
                                             write the guest's pid, the supervisor's pid
          --log-level LEVEL                  trace, debug, info, notice, warning, error, critical (warning)
          --log-format text|json, --log-file PATH
                                             how and where to log (text, to standard error)
          --help, --version

        Exit status: the guest's own. Otherwise 64 usage, 66 not found, 69 sanlock not available, 73 a lease file
        can't be made, 74 the lease was lost and the guest ended, 75 a lease or the name is busy, 77 not permitted,
        78 configuration, 125 the supervisor failed, 126 not executable, 127 not found.

        """
}
