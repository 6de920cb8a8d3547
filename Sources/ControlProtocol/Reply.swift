/// Every answer a supervisor gives.
public enum Reply: Sendable, Equatable {
    /// To `GetStatus`.
    case status(WireStatus)
    /// To `GetChild`.
    case child(Int32)
    /// To `Shutdown` and `Kill`.
    case exit(WireExit)
    /// To all that return nothing.
    case empty
    /// To `Acquire`: what was taken.
    case acquired([WireLease])
    /// To `PrepareMigrate` and `CompleteMigrateOut`; an object.
    case ticket(JSON)
    /// To `Monitor`; `continues` is for callers that asked for more, and says that another reply comes.
    case monitor(status: WireStatus?, event: WireEvent?, continues: Bool)
    /// To `org.varlink.service.GetInfo`.
    case info
    /// To `org.varlink.service.GetInterfaceDescription`; use ``description(of:)``.
    case interfaceDescription(String)
    /// To anything.
    case error(ControlError)

    /// The answer to `GetInterfaceDescription`, which is an error for an interface that isn't ours.
    public static func description(of interface: String) -> Reply {
        switch interface {
        case Call.interface: .interfaceDescription(interfaceText)
        case Call.maintenanceInterface: .interfaceDescription(maintenanceInterfaceText)
        case Call.serviceInterface: .interfaceDescription(serviceInterfaceText)
        default: .error(.interfaceNotFound(interface: shortened(interface)))
        }
    }
}

extension Reply {
    /// The parameters as they are sent, the error's for an error.
    public var parameters: JSON.Object {
        switch self {
        case .status(let status): JSON.Object(fields: [("status", status.json)])
        case .child(let pid): JSON.Object(fields: [("pid", .integer(Int64(pid)))])
        case .exit(let exit): JSON.Object(fields: [("exit", exit.json)])
        case .empty: JSON.Object()
        case .acquired(let leases): JSON.Object(fields: [("acquired", .array(leases))])
        case .ticket(let ticket): JSON.Object(fields: [("ticket", ticket)])
        case .monitor(let status, let event, _):
            JSON.Object(fields: [("status", status?.json), ("event", event?.json)])
        case .info:
            JSON.Object(fields: [
                ("vendor", "Leasehold"), ("product", "leasehold-supervisor"), ("version", .string(leaseholdVersion)),
                ("url", ""), ("interfaces", .array([Call.serviceInterface, Call.interface])),
            ])
        case .interfaceDescription(let text): JSON.Object(fields: [("description", .string(text))])
        case .error(let error): error.parameters
        }
    }

    /// The message as it is sent, with the NUL.
    public func message() -> [UInt8] {
        var envelope: [(String, JSON?)] = [("parameters", .object(parameters))]
        if case .error(let error) = self { envelope.insert(("error", .string(error.name)), at: 0) }
        if case .monitor(_, _, continues: true) = self { envelope.append(("continues", true)) }
        return JSON.Object(fields: envelope).message()
    }
}

extension JSON.Object {
    /// The object as a varlink message, with the NUL.
    func message() -> [UInt8] {
        var message: [UInt8] = []
        append(to: &message)
        message.append(0)
        return message
    }
}
