import ControlProtocol
import Glibc
import Leases
import Platform
import SanlockLeases
import Supervision
import SupervisorRuntime

/// `--carry-on N …` and `--carry-on-trial N …`: this process was another version of the supervisor until now, whose guest runs;
/// or is to say whether it could go on with that guest. The other arguments are those of then, for people to see.
struct CarryOn {
    private let number: Int32
    private let isTrial: Bool

    /// Nil where the arguments are something else.
    init?(_ arguments: [String]) {
        guard let option = arguments.first, [Handover.option, Handover.trialOption].contains(option) else { return nil }
        isTrial = option == Handover.trialOption
        number = arguments.dropFirst().first.flatMap { Int32($0) } ?? -1
    }

    /// Does it, and says how this process is to end.
    func live() -> ExitStatus {
        // What the caller had set is the guest's already. A signal that came meanwhile waits.
        InheritedDescriptors.plugStandardStreams()
        do throws(Handover.Problem) {
            guard number > 2 else { throw Handover.Problem(text: "descriptor \(number) is none to go on from") }
            let handover = try Handover(from: number)
            // From here a trial and the thing itself differ.
            return isTrial ? try answer(handover) : try goOn(handover)
        } catch {
            try? Files.write(Array("leasehold: \(error.text.printable)\n".utf8), to: 2)
            return .code(isTrial ? ExitStatus.Code.configuration : ExitStatus.Code.failure)
        }
    }

    // Everything is read, and nothing is touched: a trial has none of the descriptors.
    private func answer(_ handover: Handover) throws(Handover.Problem) -> ExitStatus {
        var handover = handover
        handover.descriptors.devices = nil
        let (_, settings) = try read(handover)
        if let settings {
            _ = SanlockDriver(settings: settings, notice: nil, carrying: handover.driver.carried, connection: nil)
        }
        do throws(SystemError) {
            let version = try Files.version(of: "/proc/self/exe")
            try Files.write(Array("\(handover.word) \(version)\n".utf8), to: 1)
        } catch {
            throw Handover.Problem(text: error.message)
        }
        return .code(0)
    }

    private func goOn(_ handover: Handover) throws(Handover.Problem) -> ExitStatus {
        let (plan, settings) = try read(handover)
        do throws(SystemError) {
            OwnProcess.shownName = handover.shownName
            try InheritedDescriptors.takeOver(handover.numbers)
            guard let settings else {
                return try Supervisor(carrying: handover, plan, driver: NopDriver()).carryOn(from: handover)
            }
            let driver = SanlockDriver(
                settings: settings, notice: NoticeCommand.ofThisProcess, carrying: handover.driver.carried,
                connection: handover.descriptors.leaseConnection)
            return try Supervisor(carrying: handover, plan, driver: driver).carryOn(from: handover)
        } catch {
            throw Handover.Problem(text: "can't go on with \(handover.name): \(error.message)")
        }
    }

    // The settings are nil for the nop driver.
    private func read(_ handover: Handover) throws(Handover.Problem) -> (GuestPlan, SanlockSettings?) {
        var plan = try GuestPlan(carrying: handover)
        guard let driver = SupervisorOptions.Driver(rawValue: handover.driver.name) else {
            throw Handover.Problem(text: "there is no driver '\(handover.driver.name)'")
        }
        guard driver == .sanlock else { return (plan, nil) }
        do throws(WireError) {
            let settings = try SanlockSettings(json: handover.driver.settings)
            plan.settings.firstDeadlines = settings.firstDeadlines
            return (plan, settings)
        } catch {
            throw Handover.Problem(text: "the driver's settings can't be read: \(error)")
        }
    }
}
