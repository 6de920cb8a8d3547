/// The version of Leasehold.
public let leaseholdVersion = "0.1.0"

/// The text of `io.leasehold.Supervisor`, which tools are written against, byte for byte.
public var interfaceText: String {
    """
    # The supervisor of one guest. Every method answers when what it asks for has been done or has failed.
    # Unknown, mistyped, negative or non-finite parameters are org.varlink.service.InvalidParameter, and do nothing.
    interface io.leasehold.Supervisor

    type Disk (path: string, mode: (exclusive, shared, readonly))

    type Lease (
      disk: ?string,
      mode: (exclusive, shared),
      lockspace: string,
      resource: string,
      path: string,
      offset: int,
      version: ?int,
      state: (held, released, lost)
    )

    type Lockspace (
      name: string,
      hostId: int,
      hostName: ?string,
      lastRenewalSeconds: ?float,
      actsInSeconds: ?float,
      othersMayTakeInSeconds: ?float
    )

    type Holder (
      guest: ?string,
      uuid: ?string,
      pid: ?int,
      hostId: ?int,
      hostName: ?string,
      since: ?string,
      liveness: (live, dead, unknown)
    )

    type Exit (
      name: string,
      uuid: string,
      code: ?int,
      signal: ?int,
      reason: (exited, stopped, killed, leaseLost, keeperDied, supervisorFailed),
      time: string,
      leasesFree: bool
    )

    type Status (
      name: string,
      uuid: string,
      id: ?int,
      supervisorPid: int,
      childPid: ?int,
      state: (acquiring, starting, running, paused, incoming, migrating, stopping, exited),
      since: string,
      command: []string,
      driver: string,
      onLeaseLoss: string,
      watchdog: bool,
      leases: []Lease,
      lockspaces: []Lockspace
    )

    type Event (sequence: int, time: string, event: string, detail: [string]string)

    method GetChild() -> (pid: int)
    method GetStatus() -> (status: Status)
    method Acquire(disks: ?[]Disk, leases: ?[]string, waitSeconds: ?float) -> (acquired: []Lease)
    method Release(disks: ?[]string, leases: ?[]string) -> ()
    method Suspend(release: ?bool) -> ()
    method Resume() -> ()
    method PrepareMigrate(uri: string) -> (ticket: object)
    method CompleteMigrateOut(cancel: ?bool) -> (ticket: object)
    method CompleteMigrateIn(ticket: ?object, cancel: ?bool) -> ()
    method Shutdown(timeoutSeconds: ?float) -> (exit: Exit)
    method Kill() -> (exit: Exit)
    # With "more": the status at once, then every event in order.
    method Monitor() -> (status: ?Status, event: ?Event)

    error Busy (disk: ?string, lease: string, holder: ?Holder)
    error LeaseLost ()
    error WrongState (state: string)
    error NotPermitted ()
    error InvalidResource (resource: string, why: string)
    error Unavailable (why: string)

    """
}

/// The text of `org.varlink.service`.
public var serviceInterfaceText: String {
    """
    # What every varlink service says about itself.
    interface org.varlink.service

    # Who this service is, and its interfaces.
    method GetInfo() -> (
      vendor: string,
      product: string,
      version: string,
      url: string,
      interfaces: []string
    )

    # The text of one of its interfaces.
    method GetInterfaceDescription(interface: string) -> (description: string)

    error InterfaceNotFound (interface: string)
    error MethodNotFound (method: string)
    error MethodNotImplemented (method: string)
    error InvalidParameter (parameter: string)
    error PermissionDenied ()
    error ExpectedMore ()

    """
}

/// The text of `io.leasehold.Maintenance`: what Leasehold's own commands ask beyond the interface that tools are written against.
/// It may change with every version, so `GetInfo` doesn't name it.
public var maintenanceInterfaceText: String {
    """
    # What Leasehold's own commands ask of a supervisor. Answered as io.leasehold.Supervisor is, with its errors.
    interface io.leasehold.Maintenance

    # Has the emulator migrate a guest that PrepareMigrate has made ready, and answers when its state has arrived. Where that
    # fails, or the caller goes away, the migration is called off and the guest runs on.
    method Migrate(uri: string) -> ()
    # Goes on as another program, with the same guest, leases and pid; without one, as the program that is installed by now.
    method Upgrade(program: ?string) -> ()

    """
}
