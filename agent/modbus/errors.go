package modbus

import (
	"errors"
	"fmt"
	"strings"

	"github.com/simonvetter/modbus"
)

// Exception is an answer that says no: the device, or the gateway before it, is alive and the stream is in step.
type Exception struct {
	Code uint8 // MODBUS Application Protocol V1.1b3, section 7
}

func (e *Exception) name() string {
	switch e.Code {
	case 1:
		return "illegal function"
	case 2:
		return "illegal address"
	case 3:
		return "illegal value"
	case 4:
		return "device failure"
	case 5:
		return "acknowledge"
	case 6:
		return "device busy"
	case 8:
		return "memory parity error"
	case 10:
		return "gateway path unavailable"
	case 11:
		return "gateway target does not answer"
	}
	return ""
}

// Error gives the code with its name.
func (e *Exception) Error() string {
	if n := e.name(); n != "" {
		return fmt.Sprintf("exception %d (%s)", e.Code, n)
	}
	return fmt.Sprintf("exception %d", e.Code)
}

// IllegalAddress reports that the device has no register at one of the addresses.
func (e *Exception) IllegalAddress() bool { return e.Code == 2 }

// Busy reports that the device asks to be tried again later.
func (e *Exception) Busy() bool { return e.Code == 5 || e.Code == 6 }

// TargetDown reports that a gateway answered in place of a device behind it that it cannot reach.
func (e *Exception) TargetDown() bool { return e.Code == 10 || e.Code == 11 }

// AsException gives the Exception within err, nil if there is none: then err is one of transport or protocol.
func AsException(err error) *Exception {
	var e *Exception
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// IsTimeout reports whether err says that no answer came in time.
func IsTimeout(err error) bool { return errors.Is(err, modbus.ErrRequestTimedOut) }

func exceptionOf(err error) *Exception {
	switch err {
	case modbus.ErrIllegalFunction:
		return &Exception{1}
	case modbus.ErrIllegalDataAddress:
		return &Exception{2}
	case modbus.ErrIllegalDataValue:
		return &Exception{3}
	case modbus.ErrServerDeviceFailure:
		return &Exception{4}
	case modbus.ErrAcknowledge:
		return &Exception{5}
	case modbus.ErrServerDeviceBusy:
		return &Exception{6}
	case modbus.ErrMemoryParityError:
		return &Exception{8}
	case modbus.ErrGWPathUnavailable:
		return &Exception{10}
	case modbus.ErrGWTargetFailedToRespond:
		return &Exception{11}
	}
	// Other codes come as text only.
	var code uint8
	if i := strings.Index(err.Error(), "exception code"); i >= 0 {
		if _, scanErr := fmt.Sscanf(err.Error()[i:], "exception code (%v)", &code); scanErr == nil {
			return &Exception{code}
		}
	}
	return nil
}
