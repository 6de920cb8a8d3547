/// Every error a call can be answered with.
public enum ControlError: Error, Sendable, Equatable {
    /// Another guest has a lease.
    case busy(disk: String?, lease: String, holder: WireHolder?)
    /// The guest's lease was lost.
    case leaseLost
    /// The guest is in a state in which this can't be done.
    case wrongState(state: String)
    /// The caller may not do this.
    case notPermitted
    /// A disk or lease that can't be used.
    case invalidResource(resource: String, why: String)
    /// Something that is needed isn't there.
    case unavailable(why: String)
    /// No such interface.
    case interfaceNotFound(interface: String)
    /// The interface has no such method.
    case methodNotFound(method: String)
    /// The interface has the method, this service hasn't.
    case methodNotImplemented(method: String)
    /// A parameter is missing, unknown or not acceptable.
    case invalidParameter(parameter: String)
    /// varlink's own word for not permitted.
    case permissionDenied
    /// A method that can only be called for more replies than one.
    case expectedMore
    /// An error that this program doesn't know, or one whose parameters it can't read.
    case other(name: String, parameters: JSON.Object)
}

extension ControlError {
    /// The error's full name, `io.leasehold.Supervisor.Busy`.
    public var name: String {
        switch self {
        case .busy: "io.leasehold.Supervisor.Busy"
        case .leaseLost: "io.leasehold.Supervisor.LeaseLost"
        case .wrongState: "io.leasehold.Supervisor.WrongState"
        case .notPermitted: "io.leasehold.Supervisor.NotPermitted"
        case .invalidResource: "io.leasehold.Supervisor.InvalidResource"
        case .unavailable: "io.leasehold.Supervisor.Unavailable"
        case .interfaceNotFound: "org.varlink.service.InterfaceNotFound"
        case .methodNotFound: "org.varlink.service.MethodNotFound"
        case .methodNotImplemented: "org.varlink.service.MethodNotImplemented"
        case .invalidParameter: "org.varlink.service.InvalidParameter"
        case .permissionDenied: "org.varlink.service.PermissionDenied"
        case .expectedMore: "org.varlink.service.ExpectedMore"
        case .other(let name, _): name
        }
    }

    /// The error's parameters as they are sent.
    public var parameters: JSON.Object {
        switch self {
        case .busy(let disk, let lease, let holder):
            JSON.Object(fields: [("disk", disk.map(JSON.string)), ("lease", .string(lease)), ("holder", holder?.json)])
        case .wrongState(let state): JSON.Object(fields: [("state", .string(state))])
        case .invalidResource(let resource, let why):
            JSON.Object(fields: [("resource", .string(resource)), ("why", .string(why))])
        case .unavailable(let why): JSON.Object(fields: [("why", .string(why))])
        case .interfaceNotFound(let interface): JSON.Object(fields: [("interface", .string(interface))])
        case .methodNotFound(let method), .methodNotImplemented(let method):
            JSON.Object(fields: [("method", .string(method))])
        case .invalidParameter(let parameter): JSON.Object(fields: [("parameter", .string(parameter))])
        case .leaseLost, .notPermitted, .permissionDenied, .expectedMore: JSON.Object()
        case .other(_, let parameters): parameters
        }
    }

    /// Reads an error of a reply.
    public init(name: String, parameters: JSON.Object) {
        do {
            self = try ControlError.known(name, WireFields(parameters)) ?? .other(name: name, parameters: parameters)
        } catch {
            self = .other(name: name, parameters: parameters)
        }
    }

    private static func known(_ name: String, _ fields: WireFields) throws(WireError) -> ControlError? {
        switch name {
        case "io.leasehold.Supervisor.Busy":
            .busy(
                disk: try fields.optionalString("disk"), lease: try fields.string("lease"),
                holder: try fields.optionalValue("holder", WireHolder.self))
        case "io.leasehold.Supervisor.LeaseLost": .leaseLost
        case "io.leasehold.Supervisor.WrongState": .wrongState(state: try fields.string("state"))
        case "io.leasehold.Supervisor.NotPermitted": .notPermitted
        case "io.leasehold.Supervisor.InvalidResource":
            .invalidResource(resource: try fields.string("resource"), why: try fields.string("why"))
        case "io.leasehold.Supervisor.Unavailable": .unavailable(why: try fields.string("why"))
        case "org.varlink.service.InterfaceNotFound": .interfaceNotFound(interface: try fields.string("interface"))
        case "org.varlink.service.MethodNotFound": .methodNotFound(method: try fields.string("method"))
        case "org.varlink.service.MethodNotImplemented": .methodNotImplemented(method: try fields.string("method"))
        case "org.varlink.service.InvalidParameter": .invalidParameter(parameter: try fields.string("parameter"))
        case "org.varlink.service.PermissionDenied": .permissionDenied
        case "org.varlink.service.ExpectedMore": .expectedMore
        default: nil
        }
    }
}
