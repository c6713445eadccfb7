package journey

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// alone waits until no other demo, test or benchmark runs on the local cluster: they would overwrite the keys that each
// other's providers accept. The lock is gone with this process, however it ends.
func (j *Journey) alone(ctx context.Context) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(os.TempDir(), "clawstaff-fakes.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	told := false
	const other = "another demo, test or benchmark on this cluster to end"
	err = j.Eventually(ctx, 40*time.Minute, other, func(context.Context) error {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil && !told {
			told = true
			fmt.Fprintln(os.Stderr, "waiting for "+other)
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
