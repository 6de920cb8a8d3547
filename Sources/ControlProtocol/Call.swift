/// Every method a supervisor answers, with its parameters.
public enum Call: Sendable, Equatable {
    /// `org.varlink.service.GetInfo`: who we are.
    case getInfo
    /// `org.varlink.service.GetInterfaceDescription`: an interface's text.
    case getInterfaceDescription(interface: String)
    /// The guest's process.
    case getChild
    /// All about the guest.
    case getStatus
    /// Take leases for a running guest, all or none, waiting for busy ones as long as is said.
    case acquire(disks: [WireDisk], leases: [String], waitSeconds: Double?)
    /// Give leases back.
    case release(disks: [String], leases: [String])
    /// Pause the guest, and give its leases back if asked.
    case suspend(release: Bool)
    /// Let a paused guest go on.
    case resume
    /// The outgoing side, before a migration.
    case prepareMigrate(uri: String)
    /// The outgoing side, after it or after its failure.
    case completeMigrateOut(cancel: Bool)
    /// The incoming side; the ticket is an object.
    case completeMigrateIn(ticket: JSON?, cancel: Bool)
    /// Stop the guest, killing it when the time is over.
    case shutdown(timeoutSeconds: Double?)
    /// Kill the guest.
    case kill
    /// The status; where more is asked for, then every event.
    case monitor
    /// `io.leasehold.Maintenance.Migrate`: have the emulator migrate the guest, and wait until that is done.
    case migrate(uri: String)
    /// `io.leasehold.Maintenance.Upgrade`: go on as another program; nil: the one that is installed by now.
    case upgrade(program: String?)

    /// Longer durations are taken for this one, about 31 years, so that a reader may count them in nanoseconds.
    public static let longestSeconds = 1e9
}

extension Call {
    /// The name of the supervisor's interface.
    public static let interface = "io.leasehold.Supervisor"

    /// The name of the interface of what Leasehold's own commands need beyond it.
    public static let maintenanceInterface = "io.leasehold.Maintenance"

    /// The name of the interface that every varlink service has.
    public static let serviceInterface = "org.varlink.service"

    /// The interface and the method within it.
    var name: (interface: String, method: String) {
        switch self {
        case .getInfo: (Call.serviceInterface, "GetInfo")
        case .getInterfaceDescription: (Call.serviceInterface, "GetInterfaceDescription")
        case .getChild: (Call.interface, "GetChild")
        case .getStatus: (Call.interface, "GetStatus")
        case .acquire: (Call.interface, "Acquire")
        case .release: (Call.interface, "Release")
        case .suspend: (Call.interface, "Suspend")
        case .resume: (Call.interface, "Resume")
        case .prepareMigrate: (Call.interface, "PrepareMigrate")
        case .completeMigrateOut: (Call.interface, "CompleteMigrateOut")
        case .completeMigrateIn: (Call.interface, "CompleteMigrateIn")
        case .shutdown: (Call.interface, "Shutdown")
        case .kill: (Call.interface, "Kill")
        case .monitor: (Call.interface, "Monitor")
        case .migrate: (Call.maintenanceInterface, "Migrate")
        case .upgrade: (Call.maintenanceInterface, "Upgrade")
        }
    }

    /// The method's full name, `io.leasehold.Supervisor.GetChild`.
    public var method: String { "\(name.interface).\(name.method)" }

    /// The parameters as they are sent.
    public var parameters: JSON.Object {
        switch self {
        case .getInfo, .getChild, .getStatus, .resume, .kill, .monitor:
            JSON.Object()
        case .getInterfaceDescription(let interface):
            JSON.Object(fields: [("interface", .string(interface))])
        case .acquire(let disks, let leases, let waitSeconds):
            JSON.Object(fields: [
                ("disks", .array(disks)), ("leases", .array(leases)), ("waitSeconds", waitSeconds.map(JSON.number)),
            ])
        case .release(let disks, let leases):
            JSON.Object(fields: [("disks", .array(disks)), ("leases", .array(leases))])
        case .suspend(let release):
            JSON.Object(fields: [("release", .bool(release))])
        case .prepareMigrate(let uri):
            JSON.Object(fields: [("uri", .string(uri))])
        case .completeMigrateOut(let cancel):
            JSON.Object(fields: [("cancel", .bool(cancel))])
        case .completeMigrateIn(let ticket, let cancel):
            JSON.Object(fields: [("ticket", ticket), ("cancel", .bool(cancel))])
        case .migrate(let uri):
            JSON.Object(fields: [("uri", .string(uri))])
        case .upgrade(let program):
            JSON.Object(fields: [("program", program.map(JSON.string))])
        case .shutdown(let timeoutSeconds):
            JSON.Object(fields: [("timeoutSeconds", timeoutSeconds.map(JSON.number))])
        }
    }
}
